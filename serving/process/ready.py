"""The start of a server ends with its address, once it answers there."""

from __future__ import annotations

import logging
import sys
import threading

from serving.browser import open_page
from serving.process.health import answers, url_of
from serving.process.settings import Settings

_SECONDS_BETWEEN_LOOKS = 0.2
_LONGEST_START = 600.0  # seconds: one request waits for the first worker, each is a line of the log
_SETTLING = 0.5  # seconds in which that line is written, and other workers end their start
_log = logging.getLogger("protohead")


def announce_when_ready(settings: Settings) -> None:
    """Say the address, beside whatever this process does, when a worker answers.

    A person reads one plain line as the last of the start; a collector of logs one line of JSON
    like all others. The page is opened in the browser if the settings say so.
    """
    threading.Thread(target=_announce, args=(settings,), daemon=True).start()


def _announce(settings: Settings) -> None:
    environment, pause = settings.to_environment(), threading.Event()
    while not answers(environment, _LONGEST_START):
        pause.wait(_SECONDS_BETWEEN_LOOKS)
    pause.wait(_SETTLING)
    url = url_of(environment)
    if sys.stderr.isatty():
        sys.stderr.write(f"Open {url}\n")
        sys.stderr.flush()
    else:
        _log.info("Open %s", url)
    if settings.browser:
        open_page(url)
