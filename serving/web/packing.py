"""Bodies packed with gzip or deflate, on the way in and on the way out."""

from __future__ import annotations

import gzip
import zlib

from starlette.responses import Response

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What zlib calls each: its window."""
LEAST_PACKED = 2**16
"""Bytes of an answer; packing costs more than sending a smaller one."""
_LEVEL = 1  # the others take up to five times as long for a tenth less


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """A body as it was before it was packed, but at most one byte more than ``most``.

    Raises:
        zlib.error: It is not whole, or not packed so.
    """
    unpacker = zlib.decompressobj(ENCODINGS[encoding])
    found = unpacker.decompress(body, most + 1)
    if len(found) <= most and (not unpacker.eof or unpacker.unused_data):
        raise zlib.error("it ends early, or more follows its end")
    return found


def respond(
    content: bytes, accepted: str, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    """An answer, packed where the client accepts that and it is long.

    It takes time in proportion to the answer, so a thread that computes should call it.

    Args:
        content: The body.
        accepted: The header ``Accept-Encoding`` of the request.
        media_type: Of the body.
        headers: More of the answer's headers.
    """
    headers = {**(headers or {}), "Vary": "Accept-Encoding"}
    if len(content) >= LEAST_PACKED and _accepts_gzip(accepted):
        content = gzip.compress(content, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=media_type)


def _accepts_gzip(accepted: str) -> bool:
    """Whether gzip is listed, and not with a weight of 0; RFC 9110, section 12.5.3."""
    for entry in accepted.lower().split(","):
        name, _, weight = entry.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            value = weight.strip().removeprefix("q=")
            return not value or value.strip("0.") != ""
    return False
