"""How far a long job is: what it calls as images are done, and what a notebook shows of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the images done and the images in all."""


def silent(stage: str, done: int, total: int) -> None:
    """The progress of a caller that does not ask for it."""


class NotebookBar:
    """One bar for each stage where a notebook's kernel runs the job, nothing anywhere else."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that so many of a stage are done."""
        ipython: Any = sys.modules.get("IPython")
        if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
            return
        if self._bar is None or stage != self._stage or done < self._bar.n:
            self.close()
            with warnings.catch_warnings():  # that without ipywidgets it is one of text
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

                self._bar = tqdm(total=total, desc=stage, unit="image", mininterval=1)
            self._stage = stage
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


shown = NotebookBar()
"""The progress of a job that Python calls: a bar in a notebook."""
