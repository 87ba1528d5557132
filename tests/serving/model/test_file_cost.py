"""Files that cost more than their pixels are refused before they are decoded; no others are."""

import io
import struct
from contextlib import nullcontext

import costly
import numpy as np
import pytest
from hostile import encoded, images, photo
from PIL import Image, ImageOps

from serving.artifact import Preprocessing
from serving.errors import ImageError
from serving.model.file_cost import MAX_PARTS, MAX_SCANS, require_affordable
from serving.model.preprocess import MAX_PIXELS, decode, make_view


@pytest.mark.parametrize("name", costly.FILES)
def test_a_file_that_costs_more_than_its_pixels_is_refused(name):
    with pytest.raises(ImageError, match="expected an"):
        decode(costly.FILES[name])


@pytest.mark.parametrize(
    ("bits", "method", "refused"), [(8, 0, 0), (8, 1, 1), (4, 2, 1), (16, 3, 0)]
)
def test_of_bmps_those_of_run_lengths_are_refused(bits, method, refused):
    content = costly.run_length_bmp(1, 1, b"")
    content = content[:28] + struct.pack("<HI", bits, method) + content[34:]
    with pytest.raises(ImageError, match="run lengths") if refused else nullcontext():
        require_affordable(content, "picture")


@pytest.mark.parametrize("name", images())
def test_unusual_files_are_affordable(name):
    require_affordable(images()[name], name)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_ordinary_jpegs_are_affordable(mode, options):
    require_affordable(encoded(photo(512, 512, mode), "JPEG", **options), "photo")


def test_passes_are_counted_up_to_the_limit():
    decode(costly.scans(MAX_SCANS))
    with pytest.raises(ImageError, match=f"at most {MAX_SCANS} passes"):
        decode(costly.scans(MAX_SCANS + 1))


def test_what_looks_like_a_pass_within_a_comment_is_none():
    decode(costly.jpeg_with(costly.segment(0xFE, b"\xff\xda\0\2" * 1000)))


def test_parts_are_counted_up_to_the_limit():
    own = 3  # header, data and end of the plain file
    decode(costly.png_with(costly.chunk(b"abCd") * (MAX_PARTS - own)))
    with pytest.raises(ImageError, match=f"at most {MAX_PARTS} parts"):
        decode(costly.png_with(costly.chunk(b"abCd") * (MAX_PARTS - own + 1)))


def test_frames_behind_the_first_one_cost_nothing():
    frames = [photo(8, 8).convert("P") for _ in range(3)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"c" * 999)
    require_affordable(content + b"\x21\xfe\x01a\0" * costly.PARTS, "animation")


@pytest.mark.parametrize("palette", [b"", b"," * 12])
def test_what_looks_like_a_frame_within_a_palette_or_a_comment_is_none(palette):
    flags = 0x81 if palette else 0x07  # four colours, or none though their number is said
    head = b"GIF89a" + bytes((1, 0, 1, 0, flags, 0, 0)) + palette
    with pytest.raises(ImageError, match=f"at most {MAX_PARTS} parts"):
        require_affordable(head + b"\x21\xfe\x01,\0" * MAX_PARTS, "commas")


SHORT_SIDE = Preprocessing(resize=256, crop=224)


@pytest.mark.parametrize("size", [(1, 65535), (65535, 1), (1, 2000), (3, 5000)])
def test_a_thin_picture_is_refused_by_what_it_would_be_resized_to(size):
    content = encoded(Image.new("1", size), "PNG")
    decode(content)  # by itself it is small
    with pytest.raises(ImageError, match=r"is resized, expected at most 40000000 pixels, got \d+"):
        decode(content, max_pixels=40_000_000, preprocessing=SHORT_SIDE)


def test_a_picture_in_memory_is_not_resized_beyond_the_limit_either():
    with pytest.raises(ImageError, match=f"at most {MAX_PIXELS} pixels"):
        make_view(Image.new("RGB", (1, 65535)), SHORT_SIDE)


def test_an_ordinary_picture_is_far_below_the_limit():
    content = encoded(photo(1200, 400), "JPEG")
    assert decode(content, max_pixels=2**20, preprocessing=SHORT_SIDE).size == (1200, 400)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_has_the_bits_that_pillow_gives_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(), "JPEG", exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = ImageOps.exif_transpose(image)
    assert decode(content).tobytes() == expected.tobytes()


def test_sixteen_bits_are_scaled_alike_in_every_row():
    values = np.arange(600 * 50, dtype=np.uint16).reshape(600, 50) * 2
    expected = np.rint(values * (255.0 / 65535.0)).astype(np.uint8)
    found = np.asarray(decode(encoded(Image.fromarray(values), "PNG")))
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=2))
