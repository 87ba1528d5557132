"""Files that appear whole or not at all, and one way to say that the disk refuses them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.errors import OutputError


def is_full(error: OSError) -> bool:
    """Whether the operating system says that the disk, or what one may use of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def refusal(error: OSError, where: Path, kept: str, again: str = "run it again") -> OutputError:
    """The error for what the operating system refuses to write.

    Args:
        error: The refusal.
        where: What is written; for a refusal that names no file.
        kept: What is as it was before, in a sentence.
        again: How to go on once there is room.
    """
    name = error.filename2 or error.filename or where  # of a rename, where it leads
    if is_full(error):
        return OutputError(f"{name}: the disk is full. {kept} Free some space, then {again}.")
    return OutputError(
        f"{name}: cannot write: {error.strerror or error}. {kept} Choose another `out`."
    )


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the operating system's refusals into an :class:`OutputError`.

    Args:
        where: What is to appear there, whole or not at all.
    """
    try:
        yield
    except OSError as error:
        raise refusal(error, where, f"Nothing appeared at {where}.") from error


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and sys.platform == "win32":
        return  # folders cannot be opened there
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files beside their places, then put each in its place by one rename.

    Args:
        contents: The bytes of each file; its folder exists.

    Raises:
        OSError: A file cannot be written. Those in their places are as they were before, unless
            it was a rename that failed.
    """
    beside = {path: path.with_name(f"{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, written in beside.items():
            written.write_bytes(contents[path])
            sync(written)
        for path, written in beside.items():
            written.replace(path)
            sync(path.parent)
    finally:
        for written in beside.values():
            with suppress(OSError):
                written.unlink(missing_ok=True)
