"""Logs as JSON lines: one a request on stdout, everything else on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping
from typing import BinaryIO

import orjson

_SECONDS_BETWEEN_WRITES = 0.1
_lines: list[bytes] = []
_access: BinaryIO | None = None
"""Where they go; nowhere before :func:`configure_logs`."""


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": super().format(record),
        }
        return orjson.dumps(line).decode()


def configure_logs() -> None:
    """Send the logs of this package to the process's own streams; other loggers stay."""
    global _access
    _access = sys.stdout.buffer
    logger = logging.getLogger("protohead")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("uvicorn.access").disabled = True


def write_access(line: Mapping[str, object]) -> None:
    """Take one request's line; call it from the event loop.

    Lines are written together, every tenth of a second. One at a time, by ``logging`` or not, the
    event loop would let go of the interpreter at each request and wait for busy threads to return
    it, which costs a tenth of the throughput of a small model.
    """
    if _access is None:
        return
    if not _lines:
        asyncio.get_running_loop().call_later(_SECONDS_BETWEEN_WRITES, flush_access)
    _lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def flush_access() -> None:
    """Write the lines taken so far."""
    if _access is None or not _lines:
        return
    content = b"".join(_lines)
    _lines.clear()
    with contextlib.suppress(OSError, ValueError):  # nobody reads: no reason to fail a request
        _access.write(content)
        _access.flush()
