"""What of a logit comes from no place of the picture: its own term of every answer."""

import json
import shutil

import numpy as np
import onnx
import pytest
import tiny
from manifests import write_manifest

from serving import Predictor
from serving.artifact import MANIFEST, sha256_of
from serving.errors import IntegrityError
from serving.model.explanation import ClassExplanation, PrototypeExplanation, placed_share

# Terms are float32 values below 100, summed in another order.
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def predictor(two_layers_export):
    return Predictor(two_layers_export[1].folder, threads=1)


@pytest.fixture
def images():
    return [tiny.image(label, number) for label in range(3) for number in range(50, 53)]


def test_with_what_is_unplaced_the_terms_sum_to_the_logit(predictor, images):
    for image in images:
        explanation = predictor.explain(image, classes=[0, 1, 2])
        for explained in explanation.classes:
            total = sum(p.contribution for p in explained.prototypes)
            total += explained.bias + explained.common + explained.unplaced
            assert total == pytest.approx(explained.logit, abs=ROUNDING)
            assert abs(explained.unplaced) > 0.01
        assert explanation.residual < ROUNDING


def test_muting_leaves_what_is_unplaced_alone(predictor, images):
    before = predictor.explain(images[0], classes=["red"]).classes[0]
    after = predictor.explain(images[0], classes=["red"], mute=[("red", 0)]).classes[0]
    assert after.unplaced == before.unplaced
    assert after.residual < ROUNDING


def test_an_artifact_that_places_everything_has_zeros(tiny_export, images):
    plain = Predictor(tiny_export[1].folder, threads=1)
    outputs = plain.run(np.stack([plain.preprocess(image)[1] for image in images]))
    assert outputs.unplaced.tolist() == np.zeros((len(images), 2)).tolist()
    assert outputs.unplaced.dtype == np.float32
    assert "unplaced" not in outputs.by_name(plain.manifest)
    assert {c.placed for c in plain.explain(images[0]).classes} == {1.0}


def test_the_output_is_there_by_name_where_the_manifest_says_so(predictor, images):
    outputs = predictor.run(predictor.preprocess(images[0])[1][None])
    found = outputs.by_name(predictor.manifest)
    assert found["unplaced"].shape == (1, 2)
    assert "unplaced" not in outputs.source


def test_the_verified_export_passes_every_gate(two_layers_export):
    states = {gate.name: gate.state for gate in two_layers_export[1].manifest.verification}
    assert states["completeness"] == states["completeness, all"] == "passed"
    assert states["golden batch"] == "passed"
    assert "failed" not in states.values()


def test_the_manifest_says_that_something_is_unplaced(two_layers_export, tiny_export):
    assert two_layers_export[1].manifest.head.unplaced
    assert not tiny_export[1].manifest.head.unplaced


def test_a_graph_without_the_output_that_the_manifest_promises_is_refused(
    two_layers_export, tmp_path
):
    folder = tmp_path / "artifact"
    shutil.copytree(two_layers_export[1].folder, folder)
    model = onnx.load(folder / "model.onnx")
    (lost,) = (output for output in model.graph.output if output.name == "unplaced")
    model.graph.output.remove(lost)
    onnx.save(model, folder / "model.onnx")
    content = json.loads((folder / MANIFEST).read_text())
    content["files"]["model.onnx"] = sha256_of(folder / "model.onnx")
    write_manifest(folder, content)
    with pytest.raises(IntegrityError, match="expected an output 'unplaced', found none"):
        Predictor(folder)


@pytest.mark.parametrize(
    ("contributions", "unplaced", "expected"),
    [
        ([3.0, -1.0], 0.0, 1.0),
        ([0.0, 0.0], 0.0, 1.0),
        ([3.0, -1.0], 2.0, 0.5),
        ([3.0, -1.0], -2.0, 0.5),
        ([-4.0, 1.0], 1.0, 0.75),
        ([1.0, -1.0], 2.0, 0.0),
    ],
)
def test_the_placed_share_is_of_the_evidence_with_and_without_a_place(
    contributions, unplaced, expected
):
    assert placed_share(contributions, unplaced) == expected
    heatmap = np.zeros((1, 1), np.float32)
    parts = tuple(
        PrototypeExplanation(index, "a", value, heatmap, ())
        for index, value in enumerate(contributions)
    )
    logit = sum(contributions) + 0.5 - 0.25 + unplaced
    explained = ClassExplanation(0, "a", logit, 0.5, 0.5, -0.25, unplaced, 0.0, False, parts)
    assert explained.placed == expected
    assert explained.residual == 0
