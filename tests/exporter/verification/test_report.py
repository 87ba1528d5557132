"""What CI systems read of a verification: every gate, in time, whatever failed before it."""

import json
import shutil
from importlib.metadata import version
from xml.etree import ElementTree

import pytest

import exporter
from exporter import verify
from exporter.config import Form
from exporter.verification.listed import gate_names
from exporter.verification.report import Timed, timed, to_json, to_junit
from serving.artifact import GateRecord

PASSED = GateRecord(name="grid", state="passed", detail="fine")
EXCEEDED = GateRecord(name="rounding", state="failed", detail="2, limit 1", value=2.0, limit=1.0)
BROKEN = GateRecord(name="integrity", state="failed", detail="golden.npz has changed")
SKIPPED = GateRecord(name="golden pictures", state="skipped", detail="there are none")
GATES = [PASSED, EXCEEDED, BROKEN, SKIPPED]


def in_time(gates):
    return [Timed(gate, 0.25) for gate in gates]


def names(gates):
    return [gate.name for gate in gates]


@pytest.mark.parametrize("export", ["tiny_export", "two_layers_export", "rounded_export"])
def test_the_listed_gates_are_those_that_are_measured(export, request):
    manifest = request.getfixturevalue(export)[1].manifest
    assert gate_names(manifest) == names(manifest.verification)


def test_so_are_those_of_an_edited_artifact_with_further_graphs(tiny_export, tmp_path):
    folder = tiny_export[1].folder
    edited = exporter.edit(folder, tmp_path / "edited", reason="r", mute=[("red", 0)])
    made = exporter.convert(edited.folder, tmp_path / "dense", Form(variant="dense"))
    assert gate_names(made.manifest) == names(made.manifest.verification)


def test_a_damaged_artifact_skips_what_it_would_be_held_to(rounded_export, tmp_path):
    folder = shutil.copytree(rounded_export[1].folder, tmp_path / "artifact")
    (folder / "golden.npz").unlink()
    first, *others = verify(folder)
    assert (first.name, first.state) == ("integrity", "failed")
    assert names(others) == gate_names(rounded_export[1].manifest)[1:]
    assert {gate.state for gate in others} == {"skipped"}
    assert {gate.detail for gate in others} == {"not measured, because integrity failed"}


def test_a_gate_is_timed_from_the_one_before():
    def gates():
        yield PASSED
        yield SKIPPED

    found = list(timed(gates()))
    assert [each.gate for each in found] == [PASSED, SKIPPED]
    assert all(each.seconds >= 0 for each in found)


def test_junit_counts_what_the_gates_say_and_adds_up_their_time():
    suite = ElementTree.fromstring(to_junit(in_time(GATES), "birds"))
    counted = {name: suite.attrib[name] for name in ("tests", "failures", "skipped", "errors")}
    assert counted == {"tests": "4", "failures": "2", "skipped": "1", "errors": "0"}
    assert suite.attrib["time"] == "1.000"
    assert [case.attrib["time"] for case in suite] == ["0.250"] * 4


def test_a_junit_failure_says_of_which_kind_it_is():
    suite = ElementTree.fromstring(to_junit(in_time(GATES), "birds"))
    failures = {case.attrib["name"]: case.find("failure") for case in suite}
    assert failures["grid"] is None
    assert failures["rounding"].attrib == {"type": "LimitExceeded", "message": "2, limit 1"}
    assert failures["integrity"].attrib["type"] == "BrokenPromise"


def test_junit_is_valid_xml_whatever_a_name_or_a_reason_holds():
    every = "".join(map(chr, range(0x20))) + '\x7f\ufffe\ud800<&"]]>'
    gates = [GateRecord(name=every, state="failed", detail=every)]
    suite = ElementTree.fromstring(to_junit(in_time(gates), every))
    assert r"\x1b" in suite.attrib["name"]
    assert r"\x00" in suite.find("testcase/failure").attrib["message"]


@pytest.mark.parametrize(("gates", "verdict"), [(GATES, "failed"), ([PASSED, SKIPPED], "passed")])
def test_json_says_what_was_verified_and_how_it_ended(gates, verdict):
    found = json.loads(to_json(in_time(gates), "ab12"))
    assert (found["format"], found["artifact"]) == ("protohead-verification/1", "ab12")
    assert (found["verdict"], found["version"]) == (verdict, version("protohead"))
    assert [gate["name"] for gate in found["gates"]] == names(gates)
    assert found["gates"][0]["seconds"] == 0.25
