"""Wherever an export is killed, the next goes on to the same bytes, and nothing else is touched."""

import itertools
import json
import signal
import subprocess
import sys
import time

import pytest
import tiny
from trees import tree

from exporter import export

# The command line, standing still when it reaches a place for the nth time.
STANDING_STILL = """
import functools, importlib, pathlib, sys, time
from exporter import cli
place, count, here = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
del sys.argv[1:4]
module, _, path = place.partition(":")
*owners, name = path.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
original, calls = getattr(owner, name), iter(range(1, 1 << 30))
@functools.wraps(original)
def waiting(*arguments, **options):
    if next(calls) == count:
        here.touch()
        time.sleep(60)
    return original(*arguments, **options)
setattr(owner, name, waiting)
cli.main()
"""
PLACES = {
    "decoding": ("exporter.images.features:FeatureReader._decoded", 1),
    "saving the first class": ("exporter.writing.staging:replace_files", 1),
    "between two classes": ("exporter.writing.staging:Staging.save", 2),
    "writing the graphs": ("exporter.writing.graphs:add_steering", 1),
    "writing the golden batch": ("exporter.writing.golden:save_golden", 1),
    "verifying": ("exporter.pipelines.export:verify", 1),
    "recording the verification": ("exporter.pipelines.export:add_verification", 1),
    "putting in place": ("exporter.writing.work:exchange", 1),
    "removing what was replaced": ("exporter.writing.work:WorkFolder._clean", 1),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NEVER_WITHOUT_OVERWRITE = {"putting in place"}  # nothing is exchanged then
POINTS = [
    (place, number, overwrite)
    for (place, number), overwrite in zip(
        itertools.product(PLACES, SIGNALS), itertools.cycle([True, False]), strict=False
    )
    if overwrite or place not in NEVER_WITHOUT_OVERWRITE
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The configuration of an export that nothing stops, and the hashes of what it writes."""
    folder = tmp_path_factory.mktemp("whole")
    config = tiny.write(folder).model_copy(update={"method": "paper"})
    (folder / "p.json").write_text(config.preprocessing.model_dump_json())
    (folder / "labels.txt").write_text("\n".join(tiny.LABELS))
    return config, tree(export(config).folder)


def words(config, out, overwrite):
    folder = config.data.parent
    return [
        "export", config.model, "--data", str(config.data), "--out", str(out),
        "--preprocess", str(folder / "p.json"), "--labels", str(folder / "labels.txt"),
        "-k", str(config.prototypes), "--top", str(config.top), "--jobs", "1",
        "--method", "paper", *(["--overwrite"] if overwrite else []),
    ]  # fmt: skip


def killed(place, number, arguments, here):
    """Run an export up to a place and signal it there: its exit code and what it said."""
    name, count = PLACES[place]
    process = subprocess.Popen(
        [sys.executable, "-c", STANDING_STILL, name, str(count), str(here), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so tests that run in one, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not here.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def other_peoples(folder):
    """Files around the output, as they lie in the folder that somebody exports into."""
    contents = {
        "thesis.tex": b"ten years",
        "artifact.part.bak/notes.txt": b"not a work folder",
        "manifest.json": json.dumps({"format": "extension/3", "files": {}}).encode(),
        "old/model.onnx": b"another model",
        "artifact-2/manifest.json": b"{}",
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return {name: (folder / name).read_bytes() for name in contents}


@pytest.mark.slow
@pytest.mark.parametrize(("place", "number", "overwrite"), POINTS)
def test_it_resumes_to_the_same_bytes(reference, tmp_path, place, number, overwrite):
    config, expected = reference
    folder = tmp_path / "folder"
    folder.mkdir()
    others = other_peoples(folder)
    out = folder / "artifact"
    older = {}
    if overwrite:
        older = tree(export(config.model_copy(update={"out": out, "seed": 1})).folder)
    arguments = words(config, out, overwrite)
    code, said = killed(place, number, arguments, tmp_path / "here")
    assert "Traceback" not in said
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130), said
    present = tree(out) if out.exists() else {}
    assert present in (older, expected), "the old artifact or the new one, whole"
    again = [sys.executable, "-m", "exporter.cli", *arguments, "--resume"]
    if present == expected and not overwrite:
        again.append("--overwrite")
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tree(out) == expected
    assert {name: (folder / name).read_bytes() for name in others} == others
    assert {path.name for path in folder.iterdir()} == {
        "artifact", *(name.partition("/")[0] for name in others)
    }  # fmt: skip


def test_there_are_twenty_points_and_more():
    assert len(POINTS) >= 20
