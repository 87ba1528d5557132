"""Logs as JSON lines: one a request on stdout, everything else on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping
from types import TracebackType
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
            "logger": record.name,
            "message": super().format(record),
        }
        return orjson.dumps(line).decode()


def configure_logs() -> None:
    """Send every log and warning of this process to its own streams, one JSON line each.

    That is all: loggers of uvicorn, BentoML and its supervisor, which write lines of their own,
    lose their handlers, and what would end the process is a line too.
    """
    global _access
    _access = sys.stdout.buffer
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for name in ("bentoml", "circus", "uvicorn.error", "protohead"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("bentoml").setLevel(logging.INFO)
    logging.getLogger("protohead").setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger("protohead").critical("uncaught", exc_info=(kind, error, traceback))


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
