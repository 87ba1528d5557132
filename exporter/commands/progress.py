"""How far an export, a verification or a pull is, on stderr."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

_FIRST_LINE, _LONGEST_PAUSE = 5.0, 60.0  # seconds between lines where no bar can be drawn


class ProgressLine:
    """One bar with rate and time left on a terminal, plain lines elsewhere; on stderr.

    Lines come at the start and the end of a stage, and between them after pauses that grow from
    5 s to a minute: the log of an export of hours stays short.

    Args:
        unit: What is counted, one of it.
    """

    def __init__(self, unit: str = "image") -> None:
        self._unit = unit
        self._stage = ""
        self._bar: Any = None
        self._said = ("", 0)
        self._pause = _FIRST_LINE
        self._next_line = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that so many of a stage are done."""
        if _has_room():
            self._draw(stage, done, total)
        elif (stage, done) != self._said:
            self._say(stage, done, total)
        self._stage = stage

    def _say(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begins = stage != self._stage
        if not (begins or done == total or now >= self._next_line):
            return
        click.echo(f"{stage}: {done} of {total} {self._unit}s", err=True)
        self._pause = _FIRST_LINE if begins else min(2 * self._pause, _LONGEST_PAUSE)
        self._said, self._next_line = (stage, done), now + self._pause

    def _draw(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage or self._bar is None:
            self.close()
            self._bar = tqdm(
                total=total, initial=done, desc=stage, unit=self._unit, file=sys.stderr, leave=False
            )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _has_room() -> bool:
    """Whether stderr is a terminal with a width: some of CI systems and containers have none."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except OSError:
        return False
