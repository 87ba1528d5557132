"""Image to input tensor, exactly as the manifest says; shared by exporter and server.

decode -> upright RGB image -> view (resized, cropped; what the network sees) -> tensor
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from serving.artifact import Preprocessing
from serving.artifact.layout import channel_axis
from serving.errors import ImageError
from serving.model.file_cost import require_affordable

MAX_PIXELS = 100_000_000
"""Decoded pixels above which an image is refused, before it is decoded."""


@dataclass(frozen=True)
class _Format:
    """An image format.

    Attributes:
        suffixes: Suffixes of its files, in small letters.
        begins: What its files begin with, one of them; a dot is any byte.
        served: Whether clients of the server may send it.
    """

    suffixes: tuple[str, ...]
    begins: tuple[bytes, ...]
    served: bool = True


_FORMATS: dict[str, _Format] = {  # by name; Pillow's is the same in capitals
    "JPEG": _Format((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), (rb"\xff\xd8\xff",)),
    "PNG": _Format((".png", ".apng"), (rb"\x89PNG\r\n\x1a\n",)),
    "WebP": _Format((".webp",), (rb"RIFF....WEBP",)),
    "GIF": _Format((".gif",), (rb"GIF87a", rb"GIF89a")),
    "BMP": _Format((".bmp", ".dib"), (rb"BM",)),
    "TIFF": _Format((".tif", ".tiff"), (rb"II\*\x00", rb"MM\x00\*"), served=False),
    "AVIF": _Format((".avif", ".avifs"), (rb"....ftypavi[fs]",), served=False),
    "JPEG2000": _Format(
        (".jp2", ".jpx", ".jpf", ".j2k", ".j2c", ".jpc"),
        (rb"\xff\x4f\xff\x51", rb"\x00\x00\x00\x0cjP"),
        served=False,
    ),
    "PPM": _Format((".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), (rb"P[1-6fF]",), served=False),
    "TGA": _Format((".tga",), (), served=False),
    "QOI": _Format((".qoi",), (rb"qoif",), served=False),
}
FORMATS = tuple(_FORMATS)
"""Formats of image files."""

SERVED = tuple(name for name, known in _FORMATS.items() if known.served)
"""Those that clients of the server may send."""

SUFFIXES = frozenset(suffix for known in _FORMATS.values() for suffix in known.suffixes)
"""Suffixes of image files, in small letters."""

_BEGINNINGS = {
    name: re.compile(b"|".join(known.begins), re.DOTALL)
    for name, known in _FORMATS.items()
    if known.served
}

Box = tuple[int, int, int, int]
_ROWS = 256
_BITS_PER_SAMPLE = 258  # of a TIFF: 12 in one whose mode says 16
_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")

# Pillow warns of damaged metadata and of its own, higher pixel limit; the pixels count. Said once
# for the process: warnings.catch_warnings swaps what all threads share, and many threads decode.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")


@dataclass(frozen=True)
class View:
    """What the network sees of an image.

    Attributes:
        image: Resized and cropped RGB image.
        scale: Size of the resized over the original image, (horizontal, vertical).
        offset: Position of the view's corner in the resized image, (x, y) pixels.
    """

    image: Image.Image
    scale: tuple[float, float]
    offset: tuple[int, int]

    def to_original(self, box: Box) -> Box:
        """Map a box (left, top, right, bottom) of the view to pixels of the original image."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        left, top, right, bottom = box
        return (
            round((left + ox) / sx),
            round((top + oy) / sy),
            round((right + ox) / sx),
            round((bottom + oy) / sy),
        )


def served_format(content: bytes) -> str | None:
    """The format of a file that clients may send, by its first bytes; None for any other."""
    return next((name for name, begins in _BEGINNINGS.items() if begins.match(content)), None)


def decode(
    source: bytes | Path,
    *,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    formats: tuple[str, ...] = FORMATS,
    preprocessing: Preprocessing | None = None,
) -> Image.Image:
    """Decode an image to upright RGB.

    Args:
        source: The file's bytes, or its path. The first frame of an animation is used.
        name: What errors call it; by default the file's name, or the number of bytes.
        max_pixels: Width times height above which the image is refused undecoded, its own and
            that of the picture it will be resized to.
        formats: Those that are decoded, by Pillow's names in any case.
        preprocessing: What it will be resized by, where it is known.

    Returns:
        An 8-bit RGB image, turned as its EXIF orientation says; of the file's metadata nothing.

    Raises:
        ImageError: Not an image of a known format, damaged, too large, or of numbers whose white is
            not known.
    """
    name = name or (source.name if isinstance(source, Path) else f"{len(source)} bytes")
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
        require_affordable(content, name)
        return _decode(content, name, max_pixels, formats, preprocessing)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{error.filename}: no such file.") from error
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise ImageError(
            f"{name}: expected an image ({', '.join(formats)}), found something else or a damaged "
            "header."
        ) from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise ImageError(
            f"{name}: expected an image ({', '.join(formats)}), could not decode it: {error}."
        ) from error


def _decode(
    content: bytes,
    name: str,
    max_pixels: int,
    formats: tuple[str, ...],
    preprocessing: Preprocessing | None,
) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=formats) as image:
        _require_pixels(image.size, max_pixels, f"{name}: expected")
        if preprocessing is not None:
            resized = resized_size(image.size, preprocessing.resize)
            what = f"{name}: {image.width} x {image.height} is resized, expected"
            _require_pixels(resized, max_pixels, what)
        image.load()
        image.getexif()  # read now; exif_transpose would write what is left of it again
        for metadata in _METADATA:
            image.info.pop(metadata, None)
        white = _white(image, name)
        found = _to_rgb(ImageOps.exif_transpose(image), white, name)
        found.info.clear()  # comments: Pillow would write them into every picture made of this one
        return found


def _require_pixels(size: tuple[int, int], most: int, expected: str) -> None:
    width, height = size
    if width * height > most:
        raise ImageError(
            f"{expected} at most {most} pixels, got {width} x {height}. Make the image smaller."
        )


def _white(image: Image.Image, name: str) -> float | None:
    """The number that is white in a grey image of more than 8 bits; None for any other image.

    By its mode, never by its brightest pixel, so that a dark image stays dark.
    """
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
        return float(2 ** int(bits) - 1)
    if image.mode == "F":
        return 1.0
    if image.mode != "I":
        return None
    if image.format not in ("PNG", "PPM"):  # Pillow reads their 16 bits so
        raise ImageError(
            f"{name}: expected numbers of 8 or 16 bits, or floats from 0 to 1, got integers of 32 "
            "bits, which do not say what is white. Save it with 8 or 16 bits."
        )
    return 65535.0


def _to_rgb(image: Image.Image, white: float | None, name: str) -> Image.Image:
    """An 8-bit RGB image; Pillow would clip grey of more bits at 255."""
    if white is None:
        return image.convert("RGB")
    values = np.asarray(image)
    least, most = float(values.min(initial=0)), float(values.max(initial=0))
    if not (least >= 0 and most <= white):
        raise ImageError(
            f"{name}: expected numbers from 0 to {white:g} in an image of mode {image.mode}, got "
            f"{least:g} to {most:g}. Scale them, or save it with 8 or 16 bits."
        )
    shades = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), _ROWS):  # in float64 the whole would be eight times larger
        rows = values[top : top + _ROWS].astype(np.float64)
        shades[top : top + _ROWS] = np.rint(rows * (255.0 / white)).astype(np.uint8)
    return Image.fromarray(shades).convert("RGB")


def make_view(image: Image.Image, preprocessing: Preprocessing) -> View:
    """Resize and crop an RGB image to what the network sees.

    Args:
        image: RGB image of any size.
        preprocessing: The artifact's preprocessing.

    Returns:
        The view; its image has ``preprocessing.size``.

    Raises:
        ImageError: The resized picture would have more than ``MAX_PIXELS``: it is long and thin.
    """
    width, height = image.size
    target_width, target_height = resized_size((width, height), preprocessing.resize)
    _require_pixels((target_width, target_height), MAX_PIXELS, "the resized image: expected")
    if (target_width, target_height) != (width, height):
        filter_ = Image.Resampling[preprocessing.interpolation.upper()]
        image = image.resize((target_width, target_height), filter_)
    crop_height, crop_width = preprocessing.size
    left = round((target_width - crop_width) / 2)
    top = round((target_height - crop_height) / 2)
    if (crop_width, crop_height) != image.size:
        # Image.crop fills with black outside the image.
        image = image.crop((left, top, left + crop_width, top + crop_height))
    return View(image, (target_width / width, target_height / height), (left, top))


def resized_size(size: tuple[int, int], resize: int | tuple[int, int] | None) -> tuple[int, int]:
    """The (width, height) that an image of a size is resized to, before it is cropped."""
    width, height = size
    if resize is None:
        return size
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    short = min(width, height)
    # The long side is cut to an integer, as in the training pipelines people use.
    return max(1, int(resize * width / short)), max(1, int(resize * height / short))


def to_tensor(view: Image.Image, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Turn a view into the network's input: (pixel * scale - mean) / std.

    In float32 it is pixel * factor - shift, in this order; graphs that take pixels repeat it.

    Args:
        view: RGB image of ``preprocessing.size``.
        preprocessing: The artifact's preprocessing.

    Returns:
        float32, (channels, h, w) or (h, w, channels) as ``preprocessing.layout`` says.
    """
    pixels = np.asarray(view.convert("L") if preprocessing.channels == "L" else view)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if preprocessing.channels == "BGR":
        pixels = pixels[..., ::-1]
    factor, shift = normalisation(preprocessing)
    tensor = pixels * factor - shift
    tensor = np.moveaxis(tensor, -1, channel_axis(preprocessing.layout) - 1)
    return np.ascontiguousarray(tensor, dtype=np.float32)


def normalisation(
    preprocessing: Preprocessing,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What pixels are multiplied by, and what is then taken from them: two times (channels,)."""
    std = np.asarray(preprocessing.std, dtype=np.float64)
    factor = (preprocessing.scale / std).astype(np.float32)
    shift = (np.asarray(preprocessing.mean, dtype=np.float64) / std).astype(np.float32)
    return factor, shift


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Image to input tensor in one step; see :func:`make_view` and :func:`to_tensor`."""
    return to_tensor(make_view(image, preprocessing).image, preprocessing)
