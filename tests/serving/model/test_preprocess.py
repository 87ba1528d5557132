import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from waiting import PATIENCE

from serving.artifact import Preprocessing
from serving.errors import ImageError
from serving.model.preprocess import (
    SERVED,
    SUFFIXES,
    decode,
    make_view,
    preprocess,
    served_format,
    to_tensor,
)


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def test_the_tensor_is_pixel_times_scale_minus_mean_over_std():
    options = Preprocessing(crop=8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.25))
    image = gradient(8, 8)
    pixels = np.asarray(image).transpose(2, 0, 1) / 255
    expected = (pixels - np.reshape(options.mean, (3, 1, 1))) / np.reshape(options.std, (3, 1, 1))
    tensor = preprocess(image, options)
    assert tensor.dtype == np.float32
    # Two float32 operations on values below 4.
    np.testing.assert_allclose(tensor, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (97, 1000), (50, 60)])
@pytest.mark.parametrize("resize", [None, 256, (224, 224)])
def test_every_image_gives_a_view_of_the_networks_size(size, resize):
    options = Preprocessing(resize=resize, crop=(224, 208))
    assert make_view(gradient(*size), options).image.size == (208, 224)


def test_the_short_side_is_resized_and_the_centre_cropped():
    view = make_view(gradient(400, 200), Preprocessing(resize=100, crop=100))
    assert view.offset == (50, 0)
    assert view.scale == (0.5, 0.5)
    assert view.to_original((0, 0, 100, 100)) == (100, 0, 300, 200)


def test_the_long_side_is_cut_to_whole_pixels():
    view = make_view(gradient(335, 200), Preprocessing(resize=100, crop=100))
    assert view.scale == (167 / 335, 0.5)  # 167.5 pixels


def test_as_many_pixels_as_allowed_are_decoded():
    data = encoded(gradient(10, 10), "PNG")
    assert decode(data, max_pixels=100).size == (10, 10)
    with pytest.raises(ImageError, match="at most 99 pixels, got 10 x 10"):
        decode(data, max_pixels=99)


def test_a_box_of_the_view_is_found_again_in_a_tall_original():
    view = make_view(gradient(200, 400), Preprocessing(resize=(100, 100), crop=50))
    assert (view.scale, view.offset) == ((0.5, 0.25), (25, 25))
    assert view.to_original((10, 0, 50, 40)) == (70, 100, 150, 260)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_an_image_is_resized_by_the_filter_that_is_named(name):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = image.resize((16, 16), Image.Resampling[name.upper()])
    view = make_view(image, Preprocessing(resize=(16, 16), interpolation=name)).image
    np.testing.assert_array_equal(view, expected)


def test_a_smaller_image_is_framed_in_black():
    view = make_view(Image.new("RGB", (4, 4), "white"), Preprocessing(crop=8))
    pixels = np.asarray(view.image)
    assert pixels[2:6, 2:6].min() == 255
    assert pixels.sum() == 4 * 4 * 3 * 255


def test_layout_and_channels_move_axes_and_nothing_else():
    image = gradient(6, 6)
    first = preprocess(image, Preprocessing(crop=6))
    last = preprocess(image, Preprocessing(crop=6, layout="NHWC", channels="BGR"))
    np.testing.assert_array_equal(last[..., ::-1].transpose(2, 0, 1), first)


def test_grey_networks_get_one_channel():
    options = Preprocessing(crop=6, mean=(0.5,), std=(0.5,), channels="L")
    assert preprocess(gradient(6, 6), options).shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("mode", "format_"),
    [("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"),
     ("L", "JPEG"), ("RGB", "WEBP"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "TIFF")],
)  # fmt: skip
def test_every_mode_becomes_rgb(mode, format_):
    data = encoded(gradient(16, 12).convert(mode), format_)
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (16, 12))


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    image = decode(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_allclose(np.asarray(image)[..., 0], values / 257, atol=1)


@pytest.mark.parametrize("brightest", [200, 4095, 65535])
def test_sixteen_bits_are_scaled_by_their_mode_not_by_their_brightest_pixel(brightest):
    values = np.array([[0, 0, brightest]], np.uint16)
    image = decode(encoded(Image.fromarray(values), "PNG"))
    assert np.asarray(image)[0, -1, 0] == round(brightest / 257)


def test_twelve_bits_of_a_tiff_are_twelve_bits():
    # One row, 0 and 4095, packed into the three bytes behind the directory.
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    image = decode(b"II*\0" + directory + b"\x00\x0f\xff")
    assert np.asarray(image)[0, :, 0].tolist() == [0, 255]


def test_floats_are_fractions():
    values = np.array([[0.0, 0.2, 0.8, 1.0]], np.float32)
    image = decode(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 51, 204, 255]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([[0.0, 1.5]], np.float32), "from 0 to 1 in an image of mode F, got 0 to 1.5"),
        (np.array([[-0.5, 1.0]], np.float32), "got -0.5 to 1"),
        (np.array([[np.nan, 1.0]], np.float32), "got nan"),
        (np.array([[0, 7]], np.int32), "integers of 32 bits"),
    ],
)
def test_numbers_that_do_not_say_what_is_white_are_refused_not_clipped(values, found):
    with pytest.raises(ImageError, match=found):
        decode(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize(
    ("format_", "suffix"),
    [("AVIF", ".avif"), ("JPEG2000", ".jp2"), ("PPM", ".ppm"), ("TGA", ".tga"), ("QOI", ".qoi")],
)
def test_formats_of_training_images_are_not_for_clients(format_, suffix):
    data = encoded(gradient(16, 12), format_)
    assert suffix in SUFFIXES
    assert decode(data).size == (16, 12)
    assert served_format(data) is None
    with pytest.raises(ImageError, match="found something else"):
        decode(data, formats=SERVED)


def test_the_exif_orientation_is_applied():
    image = gradient(8, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    upright = decode(encoded(image, "PNG", exif=exif))
    assert upright.size == (4, 8)


@pytest.mark.parametrize("form", ["JPEG", "GIF", "PNG"])
def test_nothing_that_a_file_tells_beside_its_pixels_is_written_again(form):
    told, written = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(told, form, comment=b"in the kitchen", dpi=(300, 300))
    image = decode(told.getvalue())
    image.crop((0, 0, 4, 4)).save(written, "JPEG")
    assert image.info == {}
    assert b"kitchen" not in written.getvalue()


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.8])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated_files_are_an_image_error(format_, share):
    whole = encoded(gradient(64, 64), format_)
    data = whole[: int(share * len(whole))]
    with pytest.raises(ImageError, match="expected an image"):
        decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"%PDF-1.7"]
)
def test_other_bytes_are_an_image_error(data):
    with pytest.raises(ImageError, match="expected an image") as refusal:
        decode(data)
    assert " at 0x" not in str(refusal.value)


def test_too_many_pixels_are_refused_undecoded():
    data = encoded(Image.new("L", (5000, 5000)), "PNG")
    with pytest.raises(ImageError, match="5000 x 5000"):
        decode(data, max_pixels=1_000_000)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    "options",
    [{}, {"resize": 256}, {"crop": 0}, {"crop": 8, "std": (1, 0, 1)}, {"crop": 8, "mean": (0.5,)},
     {"crop": 8, "scale": 0}, {"crop": 8, "unknown": 1}, {"crop": 8, "interpolation": "magic"},
     {"crop": 8, "std": (1, float("nan"), 1)}, {"crop": 8, "mean": (0, float("inf"), 0)}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValidationError):
        Preprocessing(**options)


def test_to_tensor_gives_contiguous_memory():
    assert to_tensor(gradient(8, 8), Preprocessing(crop=8)).flags["C_CONTIGUOUS"]


_IN_THREADS = """
import io, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from serving.model.preprocess import decode
content = io.BytesIO()
Image.new("P", (64, 64)).save(content, "PNG", transparency=bytes(range(64)))  # Pillow warns of it
sys.setswitchinterval(1e-6)
before = list(warnings.filters)
with ThreadPoolExecutor(8) as pool:
    done = list(pool.map(decode, [content.getvalue()] * 400))
assert warnings.filters == before, "decoding left filters behind"
try:
    warnings.warn("mine", UserWarning)
except UserWarning:
    print(len(done), "decoded, warnings of others remain")
"""


def test_pillows_warnings_are_silent_in_threads_and_no_others():
    words = [sys.executable, "-W", "error", "-c", _IN_THREADS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "400 decoded, warnings of others remain\n", done.stderr
    assert done.stderr == ""
