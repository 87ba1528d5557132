"""The ports of the preprocessing, run on many cases at once."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from kits import EMBED, compiled, node

HERE = Path(__file__).parent
Port = Callable[[Sequence[tuple[dict, np.ndarray]]], bytes]
"""Runs cases, each with its pixels (height, width, channels) of 8 bits; what all of them give."""


def _port(command: Sequence[str], folder: Path) -> Port:
    def run(cases: Sequence[tuple[dict, np.ndarray]]) -> bytes:
        described = []
        for case, pixels in cases:
            height, width, channels = pixels.shape
            described.append({**case, "width": width, "height": height, "channels": channels})
        (folder / "cases.json").write_text(json.dumps(described))
        (folder / "pixels").write_bytes(b"".join(pixels.tobytes() for _, pixels in cases))
        files = [str(folder / name) for name in ("cases.json", "pixels", "out")]
        done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=EMBED)
        assert done.returncode == 0, done.stderr
        return (folder / "out").read_bytes()

    return run


@pytest.fixture(scope="session", params=["JavaScript", "C++"])
def port(request, tmp_path_factory) -> Port:
    """Runs cases through the port of a language, all in one process."""
    folder = tmp_path_factory.mktemp("port")
    if request.param == "C++":
        return _port([str(compiled(HERE / "ports.cpp", folder / "ports"))], folder)
    command = node()
    # A package is found from where the script lies.
    script = shutil.copy(HERE / "ports.mjs", EMBED / "node_modules" / ".ports.mjs")
    return _port([command, str(script)], folder)
