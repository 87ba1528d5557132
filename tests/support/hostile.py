"""Image files that servers trip over, each with whether it is an image after all."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image, PngImagePlugin


def photo(width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """A noisy picture, so that compressed data is long enough to be damaged."""
    generator = np.random.default_rng(width * height)
    pixels = generator.integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def png(width: int, height: int, *, depth: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _text_bomb() -> bytes:
    """A small PNG with 50 MB of compressed text."""
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "\0" * 50_000_000, zip=True)
    return encoded(photo(), "PNG", pnginfo=info)


def _exif(value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return encoded(photo(), "JPEG", exif=b"Exif\0\0" + value)
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(photo(), "JPEG", exif=exif)


@cache
def images() -> dict[str, bytes]:
    """Unusual files that are images of a format that is served."""
    frames = [photo(), photo().rotate(180)]
    sixteen = Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 40)
    return {
        "jpeg": encoded(photo(), "JPEG"),
        "progressive jpeg": encoded(photo(), "JPEG", progressive=True),
        "cmyk jpeg": encoded(photo(mode="CMYK"), "JPEG"),
        "grey jpeg": encoded(photo(mode="L"), "JPEG"),
        "jpeg with rubbish behind": encoded(photo(), "JPEG") + bytes(1000),
        "exif orientation 6": _exif(6),
        "exif orientation 99": _exif(99),
        "damaged exif": _exif(b"II*\0\xff\xff\xff\xff"),
        "png": encoded(photo(), "PNG"),
        "16-bit png": encoded(sixteen, "PNG"),
        "palette png": encoded(photo(mode="P"), "PNG"),
        "palette png with transparency": encoded(photo(mode="P"), "PNG", transparency=b"\0\x80"),
        "rgba png": encoded(photo(mode="RGBA"), "PNG"),
        "one-bit png": encoded(photo(mode="1"), "PNG"),
        "animated png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "gif": encoded(photo(mode="P"), "GIF"),
        "animated gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "webp": encoded(photo(), "WEBP"),
        "animated webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "bmp": encoded(photo(), "BMP"),
        "one pixel": encoded(photo(1, 1), "PNG"),
        "one column": encoded(photo(1, 3000), "PNG"),
    }


@cache
def refused() -> dict[str, bytes]:
    """What is no image, is damaged, too large, or of a format that is not served."""
    return {
        "nothing": b"",
        "one byte": b"\xff",
        "zero bytes": bytes(100_000),
        "text": b"hello " * 100,
        "html": b"<html><img src=x onerror=alert(1)></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "pdf": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "icon": encoded(photo(32, 32), "ICO"),
        "tiff": encoded(photo(), "TIFF"),
        "ppm": encoded(photo(), "PPM"),
        "xbm": b"#define a_width 9\n#define a_height 9\nstatic char a_bits[] = {\n0x00};\n",
        "a url": b"http://127.0.0.1:1/x.jpg",
        "jpeg's first bytes": encoded(photo(), "JPEG")[:20],
        "png's first half": encoded(photo(), "PNG")[:1500],
        "gif's first bytes": b"GIF89a",
        "webp's first half": encoded(photo(), "WEBP")[:200],
        "bmp's first half": encoded(photo(), "BMP")[:1000],
        "png of 60,000 x 60,000": png(60_000, 60_000, data=bytes(1000)),
        "png of 2^31 x 2^31": png(2**31 - 1, 2**31 - 1),
        "png without pixels": png(0, 0),
        "png with too little data": png(500, 500, data=bytes(10)),
        "png of depth 99": png(8, 8, depth=99, data=bytes(1000)),
        "gif of 65,535 x 65,535": b"GIF89a" + b"\xff\xff\xff\xff\0\0\0" + b"," + bytes(20),
        "png with a text bomb": _text_bomb(),
    }
