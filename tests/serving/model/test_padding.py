"""A graph that fixes its batch answers any number of images, in every way of asking."""

import base64
import io

import numpy as np
import onnx
import pytest
import tiny
from http_server import listening
from hypothesis import given
from hypothesis import strategies as st

from exporter import edit, export
from serving import Predictor
from serving.model.padding import run_in_batches
from serving.process.settings import Settings


@given(st.integers(1, 9), st.none() | st.integers(1, 5))
def test_pieces_have_the_size_of_the_graph_and_join_to_what_was_asked(count, size):
    sizes = []

    def run(feeds):
        sizes.append(len(feeds["x"]))
        return {"y": feeds["x"] * 2, "z": feeds["w"].sum(axis=1)}

    x, w = np.arange(count, dtype=np.float32), np.arange(2 * count).reshape(count, 2)
    found = run_in_batches(run, {"x": x, "w": w}, size)
    np.testing.assert_array_equal(found["y"], 2 * x)
    np.testing.assert_array_equal(found["z"], w.sum(axis=1))
    assert sizes == ([count] if size is None else [size] * -(-count // size))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """The tiny classifier with a batch of two, exported."""
    config = tiny.write(tmp_path_factory.mktemp("pairs"))
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, config.model)
    return config, export(config)


@pytest.fixture(scope="module")
def image():
    return tiny.image(1, 80)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_python_answers_as_many_images_as_are_asked_for(pairs, tiny_export, count):
    images = [tiny.image(number % 3, 90 + number) for number in range(count)]
    fixed, free = Predictor(pairs[1], threads=1), Predictor(tiny_export[1], threads=1)
    np.testing.assert_array_equal(fixed.predict(images), free.predict(images))
    batch = np.stack([fixed.preprocess(image)[1] for image in images])
    for options in ({}, {"mask": fixed.mask([(0, 1)])}):
        one, other = fixed.run(batch, **options), free.run(batch, **options)
        for name in ("logits", "contributions", "common", "class_ids", "heatmaps"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_one_image_is_explained_alike_by_python_command_line_and_server(
    pairs, tiny_export, image, run, tmp_path
):
    content = io.BytesIO()
    image.save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    expected = Predictor(tiny_export[1], threads=1).explain(image, classes=["green"]).classes[0]
    found = Predictor(pairs[1], threads=1).explain(image, classes=["green"]).classes[0]
    assert found.logit == expected.logit
    assert [p.contribution for p in found.prototypes] == [
        p.contribution for p in expected.prototypes
    ]
    code, out, _ = run("explain", pairs[1].folder, tmp_path / "a.png", "--out", tmp_path, "--json")
    assert (code, f'"logit": {expected.logit}' in out) == (0, True)
    settings = Settings(artifact=pairs[1].folder, provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        body = {"image": base64.b64encode(content.getvalue()).decode(), "classes": ["green"]}
        answer = client.post("/v1/explain", json=body).json()["results"][0]["classes"][0]
        assert answer["logit"] == expected.logit


def test_an_edit_and_a_report_measure_every_image(pairs, run, tmp_path):
    config, artifact = pairs  # 24 images, 8 of each class: an odd number of one class remains
    (config.data / "red" / "000.png").rename(tmp_path / "aside.png")
    try:
        made = edit(
            artifact.folder, tmp_path / "edited", mute=[("red", 0)], reason="a trial",
            data=config.data,
        )  # fmt: skip
        page = tmp_path / "report.html"
        assert run("report", artifact.folder, "--data", config.data, "--out", page)[0] == 0
    finally:
        (tmp_path / "aside.png").rename(config.data / "red" / "000.png")
    assert made.manifest.edits[0].effect.images == 23
    assert "of 23 held-out images" in page.read_text()
    assert all(gate.state != "failed" for gate in made.manifest.verification)
