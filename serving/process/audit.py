"""The audit record: one JSON line for each image that was answered, without the image.

Workers share the file. Each line is written whole and under a lock; a line that does not fit on the
disk is taken back and the request fails, because an answer that is not on record must not leave.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from serving.errors import SettingsError

STDOUT = Path("-")


class Audit:
    """The record.

    Args:
        path: The file, which is begun or continued; ``-`` is stdout.
        size: Bytes above which a file is set aside under the time's name and a new one begun; 0
            never does. A file that is moved away by others is begun anew too.

    Raises:
        SettingsError: The file cannot be written.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._lock = threading.Lock()
        if path == STDOUT:
            return
        try:
            self._file = self._open()
        except OSError as error:
            raise SettingsError(f"{path}: cannot write the audit record: {error}.") from error

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Add one line for each record.

        Raises:
            OSError: They cannot be written; none of them was.
        """
        lines = b"".join(
            orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records
        )
        with self._lock:  # of this process; the other one is of all
            if self._path == STDOUT:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
            else:
                self._append(lines)

    def close(self) -> None:
        """Close the file."""
        if self._path != STDOUT:
            os.close(self._file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def _append(self, lines: bytes) -> None:
        import fcntl  # here, because it is not everywhere, and few ask for a record

        while True:
            fcntl.flock(self._file, fcntl.LOCK_EX)  # until it is closed or let go of
            found = os.fstat(self._file)
            if not self._is_current(found):
                self._reopen()
            elif self._size and found.st_size and found.st_size + len(lines) > self._size:
                self._path.rename(self._set_aside())
                self._reopen()
            else:
                break
        try:
            if os.write(self._file, lines) < len(lines):
                raise OSError(f"no room for {len(lines)} bytes")
        except OSError:
            os.ftruncate(self._file, found.st_size)
            raise
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _is_current(self, found: os.stat_result) -> bool:
        try:
            return os.path.samestat(found, self._path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        file = self._open()
        os.close(self._file)
        self._file = file

    def _set_aside(self) -> Path:
        now = time.time_ns()
        seconds = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
        return self._path.with_name(f"{self._path.name}.{seconds}.{now % 10**9:09d}")
