"""How far a long job is: what it calls as images are done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the images done and the images in all."""


def silent(stage: str, done: int, total: int) -> None:
    """The progress of a caller that does not ask for it."""
