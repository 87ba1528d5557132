"""A classifier whose body is quantised and whose head is not: the whole road."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny
from quantised import FORMATS, quantised

from exporter import export
from exporter.verification.run import passed, verify
from serving.model.predictor import Predictor


@pytest.mark.parametrize("form", FORMATS)
def test_an_artifact_of_a_quantised_body_keeps_every_promise(form: str, tmp_path: Path) -> None:
    config = tiny.write(tmp_path)
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    for number, node in enumerate(model.graph.node):
        node.name = f"node{number}"
    head = [node.name for node in model.graph.node[-3:]]
    pictures = np.stack([tiny.tensor(tiny.image(n % 3, n)) for n in range(12)])
    onnx.save(quantised(model, pictures, tmp_path, form=form, exclude=head), config.model)
    artifact = export(config)
    assert passed(verify(artifact.folder))
    session = ort.InferenceSession(config.model)
    predictor = Predictor(artifact, threads=1)
    for count in (1, 8):
        (expected,) = session.run(["logits"], {"image": pictures[:count]})
        np.testing.assert_array_equal(predictor.run(pictures[:count]).logits, expected)
