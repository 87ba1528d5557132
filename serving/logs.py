"""Logs as JSON lines: one a request on stdout, everything else on stderr."""

from __future__ import annotations

import logging
import sys

import orjson

from serving.guard import access_log


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
    others = logging.getLogger("protohead")
    _attach(others, logging.StreamHandler(sys.stderr), _JsonLines())
    # A line of the access log is JSON already.
    _attach(access_log, logging.StreamHandler(sys.stdout), logging.Formatter("%(message)s"))
    logging.getLogger("uvicorn.access").disabled = True


def _attach(logger: logging.Logger, handler: logging.Handler, form: logging.Formatter) -> None:
    handler.setFormatter(form)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
