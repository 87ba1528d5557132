"""What a file makes Pillow do beside decoding pixels, told from its bytes before Pillow sees them.

Pixels are limited by their number. Beside them a file may hold millions of empty chunks, segments
or blocks, each of which Pillow walks in Python; a JPEG may pass over its whole picture hundreds of
times for a few bytes a time; a run-length BMP is unpacked in Python, and may skip much further than
its picture reaches. The walk here ends where the limit is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from serving.errors import ImageError

MAX_PARTS = 20_000
"""Chunks, segments or blocks of a file: a PNG of 160 MB in pieces of 8 KiB has as many."""

MAX_SCANS = 32
"""Passes of a progressive JPEG over its picture: encoders write 10 for RGB, 18 for CMYK."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length: TEM, RST0 to RST7, SOI
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # within entropy-coded data
_EXTENSION, _FRAME = 0x21, 0x2C  # of a GIF
_RUN_LENGTHS = (1, 2)  # BI_RLE8 and BI_RLE4 of a BMP


def require_affordable(content: bytes, name: str) -> None:
    """Refuse a file that costs far more than its pixels.

    Args:
        content: The file.
        name: What errors call it.

    Raises:
        ImageError: More parts or passes than any ordinary file has, or a run-length BMP.
    """
    if _is_run_length_bmp(content):
        raise ImageError(
            f"{name}: expected an uncompressed BMP, got one of run lengths. Save it as PNG."
        )
    walk = next((walk for begin, walk in _WALKS.items() if content.startswith(begin)), None)
    count = scans = 0
    for is_scan in walk(content) if walk else ():
        count, scans = count + 1, scans + is_scan
        if count > MAX_PARTS or scans > MAX_SCANS:
            limit = f"{MAX_SCANS} passes" if scans > MAX_SCANS else f"{MAX_PARTS} parts"
            raise ImageError(
                f"{name}: expected an image of at most {limit}, found more. Save it again with an "
                "ordinary program."
            )


def _walk_png(content: bytes) -> Iterator[bool]:
    at = len(_PNG)
    while at + 8 <= len(content):
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        yield False


def _walk_jpeg(content: bytes) -> Iterator[bool]:
    """Segment by segment; whether each begins a pass over the picture."""
    at = len(_JPEG)
    while at + 4 <= len(content) and content[at : at + 2] != bytes((0xFF, _END_OF_IMAGE)):
        marker = content[at + 1]
        is_scan = False
        if content[at] != 0xFF or marker in (0x00, 0xFF):
            at += 1  # fill bytes and junk, which Pillow passes over byte by byte too
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            is_scan = marker == _START_OF_SCAN
        if is_scan:
            found = _NEXT_MARKER.search(content, at)
            at = found.start() if found else len(content)
        yield is_scan


def _walk_gif(content: bytes) -> Iterator[bool]:
    """Blocks up to the first frame; no other is decoded."""
    flags = content[10] if len(content) > 10 else 0
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while at < len(content) and content[at] != _FRAME:
        inside = content[at] == _EXTENSION
        at += 2 if inside else 1
        yield False
        while inside and at < len(content):
            inside = content[at] > 0
            at += 1 + content[at]
            yield False


def _is_run_length_bmp(content: bytes) -> bool:
    header, compression = (int.from_bytes(content[at : at + 4], "little") for at in (14, 30))
    return content.startswith(b"BM") and header >= 40 and compression in _RUN_LENGTHS


_WALKS: dict[bytes, Callable[[bytes], Iterator[bool]]] = {
    _PNG: _walk_png,
    _JPEG: _walk_jpeg,
    b"GIF8": _walk_gif,
}
