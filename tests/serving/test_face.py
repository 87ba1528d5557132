"""What people hold in Python: short, with a sentence, a picture and a table."""

import dataclasses
import io
import sys
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import tiny
from PIL import Image
from sentences import ANSWERS

import serving
from serving.errors import ImageError, RequestError, RuntimeSetupError


@pytest.fixture(scope="module")
def predictor(tiny_export) -> serving.Predictor:
    return serving.Predictor(tiny_export[1], threads=1)


@pytest.fixture(scope="module")
def found(predictor) -> serving.Explanation:
    return predictor.explain(tiny.image(1, 502))


def made(name: str, **changes: object) -> serving.Explanation:
    explanation = dataclasses.replace(ANSWERS[name].explanation, **changes)
    return serving.Explanation(**vars(explanation))


def test_everything_is_said_in_few_characters(predictor, found):
    assert repr(found) == f"<Explanation: {found.sentence}>"
    assert repr(predictor).endswith("artifact': 3 classes, 2 parts each>")
    several = [found.classes[0], found.classes[0].prototypes[0], predictor.artifact]
    assert max(len(repr(value)) for value in several) < 300
    assert len(repr([found] * 3)) < 500


def test_a_notebook_is_given_the_picture_and_the_sentence(found):
    html = found._repr_html_()
    assert html.startswith('<img src="data:image/webp;base64,')
    assert f'alt="{found.sentence}"' in html
    with Image.open(io.BytesIO(found._repr_png_())) as png:
        whole = found.draw(top=1)
        assert png.size == whole.reduce(2).size
        assert f'width="{whole.width // 2}"' in html


def test_labels_and_names_are_text_in_html(tiny_export, monkeypatch):
    bad = '<script src="x">&'
    answer = made("named")
    (explained,) = answer.classes
    best = (dataclasses.replace(answer.best[0], label=bad),)
    named = dataclasses.replace(
        answer, classes=(dataclasses.replace(explained, label=bad),), best=best
    )
    assert "<script" not in named._repr_html_()
    artifact = tiny_export[1]
    records = tuple(
        record.model_copy(update={"label": bad + str(record.index)})
        for record in artifact.manifest.classes
    )
    manifest = artifact.manifest.model_copy(update={"classes": records})
    predictor = serving.Predictor(dataclasses.replace(artifact, manifest=manifest), threads=1)
    assert "<script" not in predictor._repr_html_()
    assert "&lt;script" in predictor._repr_html_()


def test_the_picture_is_saved_as_its_suffix_says(found, tmp_path):
    size = found.draw(top=1).size
    for name, kind in (("new/a.png", "PNG"), ("b.JPG", "JPEG")):
        found.save(tmp_path / name, top=1)
        with Image.open(tmp_path / name) as saved:
            assert (saved.size, saved.format) == (size, kind)
    for name in ("picture", "picture.onnx"):
        with pytest.raises(ImageError, match="expected a suffix"):
            found.save(tmp_path / name)
        assert not (tmp_path / name).exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot write the picture"):
        found.save(tmp_path / "file" / "a.png")


def test_the_picture_is_shown_in_the_cell_or_in_a_window(found, monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: shown.append(picture.size))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    found.show(top=1)
    assert shown == [found.draw(top=1).size]
    display = SimpleNamespace(display=shown.append, HTML=lambda html: html[:4])
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    found.show(top=1)
    assert shown[1:] == ["<img"]


def test_the_rows_of_a_class_sum_to_its_logit(found):
    rows = found.table()
    for explained in found.classes:
        own = [row for row in rows if row["label"] == explained.label]
        assert [row["rank"] for row in own] == [1, 2, None, None]
        assert sum(row["contribution"] for row in own) == pytest.approx(explained.logit, abs=1e-5)
        assert {row["logit"] for row in own} == {explained.logit}
    unplaced = made("from no place").table()
    assert [row["part"] for row in unplaced] == [
        "dark body", "bill", "face", "bias", "common", "unplaced",
    ]  # fmt: skip
    assert [row["number"] for row in unplaced][:4] == [1, 2, 0, None]


def test_a_table_without_pandas_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RuntimeSetupError, match="pip install pandas"):
        found.to_pandas()


def test_a_table_is_one_of_pandas(found):
    table = found.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table.to_dict("list")["contribution"] == [row["contribution"] for row in found.table()]


def test_one_class_is_asked_for_by_label_or_id(predictor):
    image = tiny.image(1, 502)
    found = [predictor.explain(image, classes=key).classes for key in ("blue", 2, np.int64(2))]
    assert [[explained.label for explained in classes] for classes in found] == [["blue"]] * 3
    with pytest.raises(RequestError, match=r"'blu'.*'blue'"):
        predictor.explain(image, classes="blu")


def test_many_images_are_answered_as_each_alone(predictor, tmp_path):
    tiny.image(0, 1).save(tmp_path / "a.png")
    images = [tiny.image(1, 502), tmp_path / "a.png", np.asarray(tiny.image(2, 3))]
    for one, found in zip(images, predictor.explain_many(iter(images), mute=[(0, 1)]), strict=True):
        alone = predictor.explain(one, mute=[(0, 1)])
        assert alone.table() == found.table()
    assert predictor.explain_many([]) == []


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(lambda image: np.asarray(image), id="array"),
        pytest.param(lambda image: np.asarray(image.convert("RGBA")), id="with alpha"),
        pytest.param(lambda image: np.asarray(image)[:, ::-1][:, ::-1], id="strided"),
    ],
)
def test_pixels_are_an_image(predictor, pixels):
    image = tiny.image(1, 502)
    assert predictor.explain(pixels(image)).table() == predictor.explain(image).table()


def test_grey_pixels_and_tensors_are_images(predictor):
    torch = pytest.importorskip("torch")
    image = tiny.image(1, 502)
    expected = predictor.explain(image).table()
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert predictor.explain(tensor).table() == expected
    grey = np.asarray(image.convert("L"))
    expected = predictor.explain(image.convert("L")).table()
    for pixels in (grey, grey[..., None], torch.from_numpy(grey.copy())[None]):
        assert predictor.explain(pixels).table() == expected


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((24, 24, 3)), "in uint8, .* got float64"),
        (np.zeros((2, 24, 24, 3), np.uint8), r"got the shape \(2, 24, 24, 3\)"),
        (np.zeros((3, 24, 24), np.uint8), r"got the shape \(3, 24, 24\)"),
        (np.zeros((0, 24, 3), np.uint8), r"got the shape \(0, 24, 3\)"),
        (7, "or an array of pixels, got int"),
        (None, "or an array of pixels, got NoneType"),
    ],
)
def test_what_is_no_image_is_told(predictor, pixels, told):
    with pytest.raises(ImageError, match=told):
        predictor.explain(pixels)
