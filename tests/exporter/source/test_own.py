"""What timm and transformers say of a model becomes the preprocessing that they would apply."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import transformers
from PIL import Image, ImageFilter

from exporter.errors import SourceError
from exporter.source.own import Own, as_size, fitting_labels, own
from exporter.source.presets import fitting_preprocessing
from serving.artifact import Preprocessing
from serving.model.preprocess import preprocess

RESNET = {
    "input_size": (3, 224, 224),
    "crop_pct": 0.95,
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
SHAPE = (None, 3, 224, 224)


def photograph() -> Image.Image:
    blocks = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(np.uint8)
    picture = Image.fromarray(np.kron(blocks, np.ones((25, 25, 1), np.uint8)))
    return picture.filter(ImageFilter.GaussianBlur(4))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViT", {}),
        ("ViT", {"resample": 3, "size": {"height": 100, "width": 160}}),
        ("ConvNext", {}),
        ("ConvNext", {"size": {"shortest_edge": 224}}),
        ("EfficientNet", {}),
        ("EfficientNet", {"rescale_offset": True, "do_center_crop": True}),
        ("EfficientNet", {"include_top": False}),
        ("Bit", {"size": {"shortest_edge": 256}}),
        ("PoolFormer", {}),
        ("MobileViT", {}),
        ("Levit", {}),
        ("MobileNetV1", {}),
        ("CLIP", {}),
        ("DeiT", {}),
        ("Pvt", {}),
    ],
)
def test_a_processor_becomes_the_preprocessing_that_gives_the_same_tensor(name, options):
    logging.getLogger("transformers").setLevel(logging.ERROR)  # that it does without torchvision
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    found = own("transformers", processor.to_dict(), None).preprocessing
    expected = processor(photograph(), return_tensors="np")["pixel_values"][0]
    # both are Pillow's resize, then float32 arithmetic in another order
    np.testing.assert_allclose(preprocess(photograph(), found), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "resize", "crop"),
    [
        ({}, 235, (224, 224)),
        ({"crop_pct": 1.0}, 224, (224, 224)),
        ({"crop_mode": "squash", "input_size": (3, 64, 96), "crop_pct": 0.5}, (128, 192), (64, 96)),
        ({"input_size": (3, 288, 288), "crop_pct": None}, 329, (288, 288)),
    ],
)
def test_timm_resizes_so_that_the_crop_is_its_share(config, resize, crop):
    found = own("timm", {**RESNET, **config}, None).preprocessing
    assert (found.resize, found.crop, found.interpolation) == (resize, crop, "bicubic")
    assert (found.mean, found.std) == (RESNET["mean"], RESNET["std"])


def test_another_input_size_keeps_the_share_of_the_crop():
    assert own("timm", RESNET, None, (112, 112)).preprocessing.resize == 117
    edge = {"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}
    found = own("transformers", edge, None, (112, 112)).preprocessing
    assert (found.resize, found.crop) == (128, (112, 112))


def test_timms_single_channel_is_greyscale():
    grey = {"input_size": (1, 28, 28), "mean": (0.5,), "std": (0.5,), "crop_pct": 1}
    assert own("timm", {**RESNET, **grey}, None).preprocessing.channels == "L"


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        ("timm", {**RESNET, "crop_mode": "border"}, "crop mode 'border'"),
        ("timm", {**RESNET, "input_size": (4, 8, 8)}, "4 channels"),
        ("timm", {**RESNET, "interpolation": "cubic"}, "odd"),
        ("timm", {**RESNET, "mean": "many"}, "odd"),
        ("timm", {**RESNET, "crop_pct": 0.0}, None),  # nothing is said, so timm takes its own
        ("transformers", {"size": {"shortest_edge": 224}}, "does not crop"),
        ("transformers", {"size": {"longest_edge": 224}}, "does not resize"),
        ("transformers", {"size": 8, "resample": 99}, "odd"),
        ("transformers", {"do_resize": False}, "does not resize"),
    ],
)
def test_what_an_artifact_cannot_do_is_said_and_not_guessed(kind, config, reason):
    found = own(kind, config, None)
    assert (found.preprocessing is None) == (reason is not None)
    assert (reason or "") in found.unsaid
    if reason:
        with pytest.raises(SourceError, match=reason):
            fitting_preprocessing("model", SHAPE, found)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (8, (8, 8)),
        ("8", (8, 8)),
        (8.0, (8, 8)),
        (np.int64(8), (8, 8)),
        ((4, 6), (4, 6)),
        ([3, 4, 6], (4, 6)),
        ([8], (8, 8)),
        ({"height": 4, "width": 6}, (4, 6)),
        ({"shortest_edge": 8}, (8, 8)),
        ({"longest_edge": 8}, None),
        (None, None),
        (0, None),
        (-8, None),
        (8.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("big", None),
        ((4, None), None),
        ((1, 2, 3, 4), None),
        ((), None),
        ({}, None),
    ],
)
def test_anything_that_says_a_size_is_one(value, size):
    assert as_size(value) == size


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({0: "cat", 1: "dog"}, {0: "cat", 1: "dog"}),
        ({"0": "cat"}, {0: "cat"}),
        (["cat", "dog"], {0: "cat", 1: "dog"}),
        ({0: "LABEL_0", 1: "LABEL_1"}, None),
        ({0: 3}, None),
        ({"a": "b"}, None),
        ("cat", None),
        (None, None),
    ],
)
def test_labels_are_taken_where_somebody_gave_them(labels, expected):
    assert own("timm", None, labels).labels == expected


def test_the_models_labels_name_the_folders_or_are_left_out(tmp_path, caplog):
    (tmp_path / "dog").mkdir()
    assert fitting_labels(Own(labels={0: "cat", 1: "dog"}), tmp_path) == {0: "cat", 1: "dog"}
    assert "using the model's own 2 labels" in caplog.text
    assert fitting_labels(Own(labels={0: "tench"}), tmp_path) is None
    assert "no class folder is named by one of the model's own labels ('tench'" in caplog.text
    assert fitting_labels(Own(), tmp_path) is None


def test_the_models_own_preprocessing_is_announced(caplog):
    found = fitting_preprocessing("model", SHAPE, own("timm", RESNET, None))
    assert (found.resize, found.interpolation) == (235, "bicubic")
    assert "own preprocessing: resize 235, crop (224, 224), bicubic, RGB" in caplog.text


def test_a_model_that_says_nothing_asks_how():
    with pytest.raises(SourceError, match=r"How does an image become .*`preprocessing`, or `pres"):
        fitting_preprocessing("model", SHAPE)


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("half", r"mean \(0.5, 0.5, 0.5\), not \(0.485, 0.456, 0.406\)"),
        ("imagenet", "interpolation bilinear, not bicubic"),
        ("imagenet-bicubic", "resize 256, not 235"),
        ("caffe", "channels BGR, not RGB"),
        ("raw", "scale 1, not 0.003922"),
    ],
)
def test_a_preset_that_contradicts_the_model_is_warned_of(preset, said, caplog):
    fitting_preprocessing(preset, SHAPE, own("timm", RESNET, None))
    assert f"the preset {preset} contradicts what the model says of itself" in caplog.text

    assert re.search(said, caplog.text)


def test_a_preset_that_says_the_same_in_other_numbers_is_not_warned_of(caplog):
    same = Preprocessing(
        resize=256,
        crop=224,
        interpolation="bicubic",
        scale=1.0,
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
    ).model_copy(update={"crop": (224, 224)})
    fitting_preprocessing("half", SHAPE, Own(same))
    assert not caplog.text


def test_greyscale_has_the_presets_of_one_mean_and_no_other():
    assert fitting_preprocessing("half", (None, 1, 28, 28)).channels == "L"
    assert fitting_preprocessing("unit", (None, 1, 28, 28)).mean == (0.0,)
    with pytest.raises(SourceError, match="`preset` imagenet is for three channels"):
        fitting_preprocessing("imagenet", (None, 1, 28, 28))
