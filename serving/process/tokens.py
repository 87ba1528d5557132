"""Bearer tokens: who may ask."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from pathlib import Path

from serving.errors import SettingsError

SECONDS_BETWEEN_LOOKS = 1.0
"""At the file of tokens."""

_log = logging.getLogger("protohead")


class Tokens:
    """The bearer tokens that may ask, read again when their file changes.

    A file that can no longer be read, or holds no token any more, lets nobody in until it is
    mended: whoever takes tokens away wants them refused.

    Args:
        path: File with one a line; empty lines and lines that begin with # are skipped.

    Raises:
        SettingsError: The file cannot be read or holds no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _fingerprint(path)
        self._next_look = 0.0
        self._digests = _read_digests(path)

    def allow(self, authorization: str) -> bool:
        """Whether a header carries one of them, in a time that tells nothing of them."""
        self._look()
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip().encode("latin-1", "replace"))
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == "bearer" and any(found)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        found = _fingerprint(self._path)
        if found == self._seen:
            return
        self._seen = found
        try:
            self._digests = _read_digests(self._path)
        except SettingsError as error:
            self._digests = []
            _log.error("nobody may ask until this is mended: %s", error)
        else:
            _log.warning("%s: %d tokens read again", self._path, len(self._digests))


def _fingerprint(path: Path) -> tuple[int, ...]:
    """What changes when the file is replaced or written to."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _read_digests(path: Path) -> list[bytes]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the tokens: {error}.") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise SettingsError(f"{path}: expected one token a line, found none.")
    return [_digest(token.encode()) for token in tokens]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
