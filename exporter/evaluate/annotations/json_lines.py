"""The line of a value in JSON text, looked up only when an error has to name it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


def line_of(text: str, where: Sequence[str | int]) -> int:
    """The line on which a value starts.

    Args:
        text: Valid JSON.
        where: Keys and indices that lead to the value.

    Returns:
        Its line, counted from 1; that of the last value found where the way ends early.
    """
    start = _skip(text, 0)
    try:
        for step in where:
            start = next(at for key, at in _entries(text, start) if key == step)
    except (StopIteration, ValueError, RecursionError):
        pass  # no such value, or one on the way that only a more lenient parser takes
    return text.count("\n", 0, start) + 1


def _entries(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """The keys or indices of an object or array, each with where its value starts."""
    if text[start] not in "{[":
        return
    is_object, at, index = text[start] == "{", _skip(text, start + 1), 0
    while text[at] not in "}]":
        key: str | int = index
        if is_object:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # the colon
        yield key, at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    """The next position that is not white space."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
