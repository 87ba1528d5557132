"""A classifier whose body is quantised, or its head too: the whole road."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import tiny
from quantised import FORMATS, write_quantised

from exporter import edit, export
from exporter.head.tail import Rounding
from exporter.verification.run import verify
from serving.model.predictor import Predictor


@pytest.mark.parametrize("whole", [False, True], ids=["its body", "its head too"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_artifact_of_a_quantised_classifier_keeps_every_promise(
    form: str, whole: bool, tmp_path: Path
) -> None:
    config = tiny.write(tmp_path)
    pictures = write_quantised(config.model, tmp_path, form=form, whole=whole)
    artifact = export(config)
    gates = {gate.name: gate.state for gate in verify(artifact.folder)}
    assert set(gates.values()) == {"passed"}
    assert ("rounding" in gates) is artifact.manifest.head.rounding is whole
    session = ort.InferenceSession(config.model)
    predictor = Predictor(artifact, threads=1)
    for count in (1, 8):
        (expected,) = session.run(["logits"], {"image": pictures[:count]})
        np.testing.assert_array_equal(predictor.run(pictures[:count]).logits, expected)


@pytest.mark.parametrize("form", FORMATS)
def test_edits_of_a_quantised_head_pass_every_gate(form: str, tmp_path: Path) -> None:
    config = tiny.write(tmp_path)
    write_quantised(config.model, tmp_path, form=form, whole=True)
    edited = edit(
        export(config).folder, tmp_path / "edited", reason="looks at the frame", mute=[("red", 0)]
    )
    assert {gate.state for gate in verify(edited.folder)} == {"passed"}


def test_a_rounding_beyond_the_steps_of_the_scales_fails_its_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounding makes every sum complete: only its size says that it is one."""
    config = tiny.write(tmp_path)
    write_quantised(config.model, tmp_path, form="QDQ", whole=True)
    artifact = export(config)
    least = Rounding.most
    monkeypatch.setattr(Rounding, "most", lambda *given: 0.1 * least(*given))
    failed = [gate for gate in verify(artifact.folder) if gate.state == "failed"]
    assert [gate.name for gate in failed] == ["rounding"]
