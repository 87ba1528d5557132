"""Addresses of artifacts: ``hf://owner/name[@revision][/path]``, and URLs that fsspec reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.errors import TransferError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?((?:/[^/]+)*)/?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORMS = (
    "hf://owner/name[@revision][/path], s3://bucket/path, gs://bucket/path, http(s)://host/path"
)


@dataclass(frozen=True)
class Address:
    """Where an artifact lives.

    Attributes:
        text: As it was given, without a slash at its end.
        scheme: What stands before ``://``, in lower case.
        repository: Of ``hf``, owner and name.
        revision: Of ``hf``, a branch, tag or commit; None is the main branch.
        path: Of ``hf``, a folder in the repository; empty is its root.
    """

    text: str
    scheme: str
    repository: str = ""
    revision: str | None = None
    path: str = ""

    @property
    def fixed(self) -> bool:
        """Whether what lives there can never change: the revision is a whole commit."""
        return self.revision is not None and is_commit(self.revision)

    @property
    def is_web(self) -> bool:
        """Whether it is read by plain HTTP, to which nothing can be pushed."""
        return self.scheme in ("http", "https")


def is_address(text: str) -> bool:
    """Whether it is an address rather than a path of this machine."""
    return _ADDRESS.fullmatch(text) is not None


def is_commit(revision: str) -> bool:
    """Whether a revision is a whole commit, 40 hexadecimal digits."""
    return _COMMIT.fullmatch(revision) is not None


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        TransferError: It is none, or one that a message could not repeat in public.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise TransferError(f"{text}: expected an address: {_FORMS}.")
    scheme, rest = match[1].lower(), match[2]
    if not text.isprintable() or "::" in text:
        raise TransferError(f"{text!r}: expected a plain address: {_FORMS}.")
    if scheme == "hf":
        return _hub_address(text, rest)
    if scheme in ("http", "https"):
        _require_plain_url(text)
    if not rest.strip("/"):
        raise TransferError(f"{text}: expected a place behind ://, found none.")
    return Address(text=text.rstrip("/"), scheme=scheme)


def _hub_address(text: str, rest: str) -> Address:
    match = _HUB.fullmatch(rest)
    parts = match[3].split("/") if match else []
    if match is None or ".." in parts or "." in parts:
        raise TransferError(
            f"{text}: expected hf://owner/name[@revision][/path], such as hf://someone/birds@main. "
            "A revision with a slash is named by its commit."
        )
    return Address(
        text=text.rstrip("/"),
        scheme="hf",
        repository=match[1],
        revision=match[2],
        path=match[3].strip("/"),
    )


def _require_plain_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        host, secret = parts.hostname, parts.username or parts.password
        _ = parts.port  # which is read when it is asked for
    except ValueError as error:
        raise TransferError(f"{text}: expected a URL: {error}.") from error
    if secret:  # not repeated: messages go to logs
        raise TransferError("expected an address without a name or password in it, got one.")
    if not host or parts.query or parts.fragment:
        raise TransferError(
            f"{text}: expected the URL of an artifact's folder, without ? and #: the names of its "
            "files are put behind it."
        )
