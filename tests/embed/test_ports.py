"""The ports of the preprocessing give what Pillow and NumPy give, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.artifact import Preprocessing
from serving.model.preprocess import preprocess

pytestmark = pytest.mark.embed

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
SIDES = (1, 2, 3, 7, 16, 31, 64, 97, 224)


def noise(height, width, channels=3, seed=0):
    """Noise with hard edges: every rounding, and every overshoot below black and above white."""
    generator = np.random.default_rng([seed, height, width])
    pixels = generator.integers(0, 256, (height, width, channels), dtype=np.uint8)
    pixels[generator.random((height, width)) < 0.3] = 0
    pixels[generator.random((height, width)) < 0.3] = 255
    return pixels


def by_pillow(pixels, size, name):
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize(size, Image.Resampling[name.upper()]))


def require_same(port, cases):
    """No value of any case differs from Pillow's."""
    found = np.frombuffer(port(cases), dtype=np.uint8)
    at = 0
    for case, pixels in cases:
        wanted = by_pillow(pixels, case["size"], case["filter"]).reshape(-1)
        differing = int((found[at : at + wanted.size] != wanted).sum())
        assert differing == 0, f"{case} of {pixels.shape}: {differing} of {wanted.size} differ"
        at += wanted.size
    assert at == found.size


@pytest.mark.parametrize("name", FILTERS)
def test_no_value_differs_up_down_odd_and_thin(port, name):
    cases = []
    for number, side in enumerate(SIDES):
        for other in SIDES:
            pixels = noise(side, SIDES[-1 - number], seed=other)
            cases.append(({"size": [other, SIDES[number - 3]], "filter": name}, pixels))
    require_same(port, cases)


@pytest.mark.parametrize("name", FILTERS)
def test_no_value_differs_in_a_grey_picture(port, name):
    sizes = ([5, 9], [91, 17], [1, 1], [33, 200])
    require_same(port, [({"size": size, "filter": name}, noise(41, 67, 1)) for size in sizes])


@pytest.mark.parametrize("name", FILTERS)
def test_no_value_differs_of_a_photographs_size(port, name):
    cases = [
        ({"size": [224, 224], "filter": name}, noise(1080, 1441)),
        ({"size": [341, 256], "filter": name}, noise(375, 500)),
        ({"size": [640, 479], "filter": name}, noise(120, 161)),
    ]
    require_same(port, cases)


@settings(max_examples=12)
@given(data=st.data())
def test_no_value_differs_whatever_the_sizes(port, data):
    side = st.integers(1, 120)
    draw = st.tuples(side, side, side, side, st.sampled_from(FILTERS), st.sampled_from([1, 3]))
    drawn = data.draw(st.lists(draw, min_size=20, max_size=40))
    cases = [
        ({"size": [to_x, to_y], "filter": name}, noise(y, x, channels))
        for x, y, to_x, to_y, name, channels in drawn
    ]
    require_same(port, cases)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RECIPES = (
    Preprocessing(resize=256, crop=224, interpolation="bicubic", **IMAGENET),
    Preprocessing(resize=(45, 61), interpolation="bilinear", channels="BGR", layout="NHWC"),
    Preprocessing(resize=33, crop=(47, 29), interpolation="lanczos", **IMAGENET),
    Preprocessing(crop=(64, 40), mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0),
    Preprocessing(resize=(31, 31), channels="L", mean=(0.3,), std=(0.7,), interpolation="box"),
    Preprocessing(resize=(31, 17), channels="L", mean=(0.3,), std=(0.7,), layout="NHWC"),
    Preprocessing(resize=50, crop=(31, 33), interpolation="nearest", **IMAGENET),
)
PICTURES = ((97, 64), (64, 97), (31, 31), (1, 50), (50, 1), (301, 187), (63, 41))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_no_bit_of_an_input_tensor_differs(port, recipe):
    case = {
        "input": {
            "preprocessing": recipe.model_dump(mode="json"),
            "dtype": "float32",
            "shape": [None],
        }
    }
    pictures = [noise(height, width) for height, width in PICTURES]
    wanted = [preprocess(Image.fromarray(pixels), recipe) for pixels in pictures]
    found = np.frombuffer(port([(case, pixels) for pixels in pictures]), dtype=np.float32)
    np.testing.assert_array_equal(
        found.view(np.uint32), np.concatenate([t.reshape(-1) for t in wanted]).view(np.uint32)
    )
