"""The action's own steps, run in a shell as a runner would."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml
from places import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())

RECORDER = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$RECORD/$1"
"""


@pytest.fixture
def action(tmp_path):
    """Run the steps behind the installation with some inputs; the exit codes until one fails."""

    def run(program, **inputs):
        (tmp_path / "protohead" / "bin").mkdir(parents=True, exist_ok=True)
        link = tmp_path / "protohead" / "bin" / "protohead"
        link.unlink(missing_ok=True)
        link.symlink_to(program)
        given = {
            name: found.get("default", "") for name, found in ACTION["inputs"].items()
        } | inputs
        for step in ACTION["runs"]["steps"][1:]:
            script = tmp_path / "step"
            script.write_text(step["run"])
            shell = {"bash": "bash --noprofile --norc -eo pipefail {0}"}.get(step["shell"])
            words = shlex.split((shell or step["shell"]).replace("{0}", str(script)))
            words[0] = sys.executable if words[0] == "python3" else words[0]
            environment = {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path)}
            environment |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
            environment |= {"RECORD": str(tmp_path), "PYTHONPATH": str(ROOT)}
            for name, value in step.get("env", {}).items():
                environment[name] = given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
            done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True)
            if done.returncode:
                return step["name"], done.stderr.decode()
        return None, ""

    return run


@pytest.fixture
def recorder(tmp_path):
    program = tmp_path / "recorder"
    program.write_text(RECORDER)
    program.chmod(0o755)
    return program


def words(tmp_path: Path, verb: str) -> list[str]:
    return (tmp_path / verb).read_text().splitlines()


def test_options_survive_lines_and_quotes(action, recorder, tmp_path):
    options = "--prototypes 5\n--labels 'my labels.json'  # names\n--preset imagenet"
    assert action(recorder, model="m.onnx", data="my data", **{"export-args": options})[0] is None
    assert words(tmp_path, "export") == [
        *("export", "m.onnx", "--data", "my data", "--out", "artifact"),
        *("--prototypes", "5", "--labels", "my labels.json", "--preset", "imagenet"),
    ]
    assert "--labels" not in words(tmp_path, "verify")


def test_verify_reads_the_model_as_export_did(action, recorder, tmp_path):
    options = "--weights 'my weights.pt'\n--prototypes 3\n--input-size 64 48 --output=logits"
    assert action(recorder, model="m.py:build", data="d", **{"export-args": options})[0] is None
    found = words(tmp_path, "verify")
    assert found[: found.index("--junit")] == [
        *("verify", "artifact", "--model", "m.py:build", "--data", "d"),
        *("--weights", "my weights.pt", "--input-size", "64", "48", "--output", "logits"),
    ]


def test_without_options_nothing_is_added(action, recorder, tmp_path):
    assert action(recorder, model="m.onnx", data="d")[0] is None
    assert words(tmp_path, "export") == ["export", "m.onnx", "--data", "d", "--out", "artifact"]


def test_an_open_quote_ends_the_run(action, recorder):
    step, reason = action(recorder, model="m", data="d", **{"export-args": "--labels 'my"})
    assert (step, "No closing quotation" in reason) == ("Read the options", True)


def test_the_steps_export_and_verify_for_real(action, tmp_path):
    config = tiny.write(tmp_path)
    (tmp_path / "labels.json").write_text('["red", "green", "blue"]')
    options = "--preset unit\n--prototypes 2 --labels labels.json"
    program = Path(sys.executable).with_name("protohead")
    inputs = {"model": config.model, "data": str(config.data), "export-args": options}
    assert action(program, **inputs) == (None, "")
    assert 'failures="0"' in (tmp_path / "protohead-verify.xml").read_text()
    missing = {**inputs, "out": "other", "export-args": f"{options} --weights none.pt"}
    step, reason = action(program, **missing)
    assert (step, "weights" in reason) == ("Export", True)
