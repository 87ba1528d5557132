"""The programs that the kits are run with: what is missing is a failure, with what to install."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

EMBED = ROOT / "examples" / "embed"


def program(name: str, package: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"expected {name} for the tests of the kits: apt-get install {package}")
    return found


def compiled(source: Path, target: Path, *more: str) -> Path:
    """A program of C++17, its headers those of the kit."""
    command = [program("g++", "g++"), "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{EMBED / 'cpp'}", str(source), "-o", str(target), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def said(*command: str | Path) -> str:
    """What a program prints; it must do what it is asked."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def complaint(*command: str | Path) -> str:
    """The line in which a program says why it does not do what it is asked."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode != 0
    *others, line = done.stderr.splitlines()
    assert line.startswith("explain")
    assert all(re.match(r"WARNING|E0000", other) for other in others), done.stderr  # OpenVINO's log
    return line


def node() -> str:
    """Node, with what the kits import installed beside them."""
    if not (EMBED / "node_modules" / "onnxruntime-node").is_dir():
        pytest.fail(f"expected packages in {EMBED / 'node_modules'}: make embed installs them")
    return program("node", "nodejs")


def cpp_kit(target: Path) -> Path:
    """The kit of C++, linked with the OpenVINO that is installed for Python."""
    import openvino

    home = Path(openvino.__file__).parent
    (library,) = (home / "libs").glob("libopenvino.so.*")
    more = [str(library), f"-Wl,-rpath,{home / 'libs'}", "-lpng"]
    return compiled(EMBED / "cpp" / "explain.cpp", target, f"-isystem{home / 'include'}", *more)


def python_kit(runtime: str) -> list[str | Path]:
    """The command of the kit of Python."""
    return [sys.executable, EMBED / "python" / "explain.py", "--runtime", runtime]


# Two pictures of bytes, row by row, of sides that differ.
FIXED = """
<ir_version: 8, opset_import: ["" : 17]>
fixed (uint8[2, 6, 10, 3] pixels) => (float[2, 3] logits)
  <float[3, 3] weight = {1, -1, 2, 0.5, 2, -3, 1, 1, -2}, float[3] bias = {0.1, -0.2, 0.3}>
{
  numbers = Cast <to = 1> (pixels)
  image = Transpose <perm = [0, 3, 1, 2]> (numbers)
  feature = Relu (image)
  pooled = GlobalAveragePool (feature)
  flat = Flatten (pooled)
  logits = Gemm <transB = 1> (flat, weight, bias)
}
"""
