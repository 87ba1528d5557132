"""Names of files, which are bytes, as text."""

from __future__ import annotations


def as_text(name: str) -> str:
    r"""The name of a file as UTF-8 can hold it: a byte that is no text becomes ``\xff``."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_text(name: str) -> bool:
    """Whether a name, as Python gives it, is UTF-8."""
    return as_text(name) == name
