"""Bounded reading over HTTP: so many bytes at most, and no way out of HTTP by a redirect."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO
from urllib.parse import urljoin, urlsplit

from exporter.errors import MissingFileError, TransferError, UnreachableError

CHUNK = 1 << 20  # bytes
_PATIENCE = 60.0  # seconds without a byte
_ABSENT = (403, 404, 410)  # a bucket that may not be listed says 403 of what it does not have


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects inside HTTP alone, never from https back to http, and without the token."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in (("https",) if before.scheme == "https" else ("http", "https")):
            raise TransferError(
                f"{req.full_url}: expected a file, got a redirect to {after.scheme}://, which is "
                "not followed."
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (before.scheme, before.netloc) != (after.scheme, after.netloc):
            request.remove_header("Authorization")  # a token is for the host it was made for
        return request


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows HTTP and nothing else: the usual one opens files too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def read(url: str, limit: int, headers: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """The bytes of a file, piece by piece.

    Args:
        url: http or https.
        limit: The most bytes that it may have.
        headers: What to send, such as an authorisation; it never follows to another host.

    Raises:
        MissingFileError: There is none.
        UnreachableError: The server cannot be reached, fails, or ends too early.
        TransferError: It is larger, or the server leads out of HTTP.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310
    request.add_header("Accept-Encoding", "identity")
    try:
        with _opener().open(request, timeout=_PATIENCE) as answer:
            told = answer.headers.get("Content-Length", "")
            length = int(told) if told.isdecimal() else None
            yield from bounded(answer, url, limit, length)
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreachableError(f"{url}: cannot be read: {one_line(error)}.") from error


def bounded(file: IO[bytes], where: str, limit: int, length: int | None = None) -> Iterator[bytes]:
    """The bytes of an open file, piece by piece, and no more than so many.

    Args:
        file: Open for reading.
        where: What it is, for messages.
        limit: The most bytes that it may have.
        length: How many it says that it has; None where it does not say.

    Raises:
        UnreachableError: It ends before its length.
        TransferError: It is larger than the limit.
    """
    done = 0
    too_large = TransferError(f"{where}: expected at most {limit} bytes, there are more.")
    if length is not None and length > limit:
        raise too_large
    while piece := file.read(min(CHUNK, limit + 1 - done)):
        done += len(piece)
        if done > limit:
            raise too_large
        yield piece
    if length is not None and done < length:
        raise UnreachableError(f"{where}: ended after {done} of {length} bytes.")


def one_line(error: BaseException) -> str:
    """What an error of another library says, in one line, no full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 300 else text[:300] + " …").rstrip(".")


def _refused(url: str, error: urllib.error.HTTPError) -> TransferError:
    reason = one_line(error)
    location = error.headers.get("Location") if error.headers else None
    error.close()
    if error.code in _ABSENT:
        return MissingFileError(f"{url}: no such file: {reason}.")
    if location is not None:
        scheme = urlsplit(urljoin(url, location)).scheme
        if scheme in ("http", "https"):
            return TransferError(f"{url}: expected a file, got one redirect after another.")
        return TransferError(
            f"{url}: expected a file, got a redirect to {scheme}://, which is not followed."
        )
    if error.code >= 500:
        return UnreachableError(f"{url}: the server fails: {reason}.")
    return TransferError(f"{url}: refused: {reason}.")
