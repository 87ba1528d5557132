import numpy as np
import pytest
from PIL import Image

from exporter.errors import SourceError
from exporter.source.presets import PRESETS, fitting_preprocessing, preset, read_preprocessing
from serving.artifact import Preprocessing
from serving.model.preprocess import preprocess


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_the_networks_size(name):
    assert fitting_preprocessing(name, (None, 3, 192, 160)).size == (192, 160)


def test_a_preset_takes_the_layout_from_the_input():
    assert fitting_preprocessing("unit", (None, 96, 96, 3)).layout == "NHWC"


def test_a_network_of_any_size_is_given_224_pixels():
    assert fitting_preprocessing("imagenet", (None, 3, None, None)).size == (224, 224)


def test_the_imagenet_preset_is_torchvisions():
    found = preset("imagenet", size=(224, 224))
    assert (found.resize, found.crop, found.interpolation) == (256, (224, 224), "bilinear")


# What becomes of the pixel (255, 128, 0), by hand, and the filter: the numbers are those of the
# frameworks' own documentation.
FRAMEWORKS = {
    "imagenet": ((2.24891, 0.20518, -1.80444), "bilinear"),
    "imagenet-bicubic": ((2.24891, 0.20518, -1.80444), "bicubic"),
    "half": ((1, 0.00392, -1), "bicubic"),
    "unit": ((1, 0.50196, 0), "bilinear"),
    "raw": ((255, 128, 0), "bilinear"),
    "caffe": ((0 - 103.939, 128 - 116.779, 255 - 123.68), "bilinear"),  # blue first
    "clip": ((1.93034, 0.16890, -1.48022), "bicubic"),
    # keras.applications.imagenet_utils.preprocess_input of Keras 3.15, by mode.
    "keras-raw": ((255, 128, 0), "nearest"),
    "keras-unit": ((1, 0.50196, 0), "nearest"),
    "keras-tf": ((1, 0.00392, -1), "nearest"),
    "keras-caffe": ((-103.939, 11.221, 131.32), "nearest"),
    "keras-torch": ((2.24891, 0.20518, -1.80444), "nearest"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_of_a_pixel_what_its_framework_does(name):
    orange, interpolation = FRAMEWORKS[name]
    options = preset(name, size=(1, 1))
    tensor = preprocess(Image.new("RGB", (1, 1), (255, 128, 0)), options)
    np.testing.assert_allclose(tensor.ravel(), orange, atol=1e-4)  # four decimals by hand
    assert options.interpolation == interpolation


def test_keras_stretches_a_picture_to_the_networks_size():
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3)).astype(np.uint8))
    found = preprocess(wide, preset("keras-raw", size=(8, 12), layout="NHWC"))
    np.testing.assert_array_equal(found, np.asarray(wide.resize((12, 8), Image.Resampling.NEAREST)))


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(SourceError, match="imagenet"):
        fitting_preprocessing("imagnet", (None, 3, 8, 8))


@pytest.mark.parametrize(
    "wanted",
    [
        Preprocessing(crop=16),
        Preprocessing(crop=8, layout="NHWC"),
        Preprocessing(crop=8, channels="L", mean=(0,), std=(1,)),
    ],
)
def test_preprocessing_that_does_not_fit_the_input_is_refused(wanted):
    with pytest.raises(SourceError, match=r"NCHW \(any, 3, 8, 8\)"):
        fitting_preprocessing(wanted, (None, 3, 8, 8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ('{"crop": 8, "colour": 1}', "colour"),
        ('{"crop": "big"}', "crop"),
        ('{"resize": 256}', "same size"),
    ],
)
def test_malformed_preprocessing_files_name_the_field(tmp_path, text, message):
    path = tmp_path / "preprocess.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_preprocessing(path)
