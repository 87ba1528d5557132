"""A page, shown to whoever sits at this machine."""

from __future__ import annotations

import contextlib
import os
import sys
import webbrowser

_WITH_SCREEN = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
"""Variables of which a Unix sets one where there is something to show a page on."""


def open_page(url: str) -> None:
    """Open a page in the browser; where there is none, nothing happens and nothing is said.

    Without a screen Python would start a browser of text in this very terminal, if there is one.
    """
    unix = sys.platform not in ("win32", "darwin")
    if unix and not any(map(os.environ.get, _WITH_SCREEN)):
        return
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
