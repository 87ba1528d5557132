"""Small files that would cost a decoder far more than their pixels do."""

from __future__ import annotations

import struct
import zlib

from hostile import encoded, photo

PNG_HEAD = 8 + 25  # signature and IHDR
PARTS = 150_000


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker: int, body: bytes = b"") -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(between: bytes) -> bytes:
    """A JPEG with more behind its first marker."""
    plain = encoded(photo(), "JPEG")
    return plain[:2] + between + plain[2:]


def png_with(between: bytes) -> bytes:
    """A PNG with more behind its header."""
    plain = encoded(photo(), "PNG")
    return plain[:PNG_HEAD] + between + plain[PNG_HEAD:]


def gif_with(between: bytes) -> bytes:
    """A GIF with more before its first frame."""
    plain = encoded(photo(mode="P"), "GIF", comment=b"")
    at = 13 + 3 * 2 ** ((plain[10] & 7) + 1)
    return plain[:at] + between + plain[at:]


def run_length_bmp(width: int, height: int, data: bytes) -> bytes:
    """A BMP that is unpacked in Python, and may skip far behind its end."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0) + bytes(
        1024
    )
    size = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", size + len(data), 0, 0, size) + head + data


def scans(count: int) -> bytes:
    """A progressive JPEG that goes over its picture so many times, ten of them to the purpose."""
    plain = encoded(photo(256, 256), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[last:-2] * (count - plain.count(b"\xff\xda")) + plain[-2:]


FILES: dict[str, bytes] = {
    "png of texts": png_with(chunk(b"tEXt", b"a\0b") * PARTS),
    "png of unknown chunks": png_with(chunk(b"abCd") * PARTS),
    "png of empty data": png_with(chunk(b"IDAT") * PARTS),
    "jpeg of comments": jpeg_with(segment(0xFE) * PARTS),
    "jpeg of markers": jpeg_with(b"\xff\xd0" * PARTS),
    "jpeg of fill bytes": jpeg_with(b"\xff" * PARTS),
    "jpeg of passes": scans(400),
    "gif of comments": gif_with(b"\x21\xfe\x01a\0" * PARTS),
    "gif of one comment": gif_with(b"\x21\xfe" + b"\x01a" * PARTS + b"\0"),
    "gif of junk": gif_with(b"\1" * PARTS),
    "bmp of runs": run_length_bmp(64, 64, b"\x01\x01" * PARTS),
    "bmp that skips": run_length_bmp(40_000_000, 1, b"\0\2\xff\xff" * 2),
}
"""Each is refused; decoding it took seconds, or gigabytes."""
