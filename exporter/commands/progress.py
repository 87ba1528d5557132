"""How far an export, a verification or a pull is, on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

_LINES_EVERY = 5.0  # seconds between progress lines where there is no terminal


class ProgressLine:
    """One bar with rate and time left on a terminal, plain lines elsewhere; on stderr.

    Args:
        unit: What is counted, one of it.
    """

    def __init__(self, unit: str = "image") -> None:
        self._unit = unit
        self._stage = ""
        self._bar: Any = None
        self._next_line = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that so many of a stage are done."""
        if sys.stderr.isatty():
            self._draw(stage, done, total)
        elif stage != self._stage or done == total or time.monotonic() >= self._next_line:
            click.echo(f"{stage}: {done} of {total} {self._unit}s", err=True)
            self._next_line = time.monotonic() + _LINES_EVERY
        self._stage = stage

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
