"""One process at a time: a lock on a file, which the system lets go when its holder ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock:
    """A lock on a file, taken at once or not at all.

    Args:
        path: The file; it is made, and holds the holder's process id.

    Raises:
        BlockingIOError: Another process, or another lock of this one, holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a+", encoding="utf-8")
        try:
            _take(self._file)
        except OSError as error:
            self._file.close()
            raise BlockingIOError(error.errno, "locked", str(path)) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let it go; twice does no harm."""
        self._file.close()


def holder(path: Path) -> str:
    """Who holds the lock on a file, in words."""
    try:
        number = path.read_text(encoding="utf-8").strip()
    except OSError:
        number = ""
    return f"process {number}" if number else "another process"


def _take(file: IO[str]) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
