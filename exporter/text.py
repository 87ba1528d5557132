"""Text that others wrote: names of files, which are bytes, long errors, and labels in Markdown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST = 500  # characters of another program's error
# What torch adds to every error: where to read more, never what is wrong.
_PADDING = re.compile(
    r"(For (more|extended|C\+\+|full)|If you suspect|The error above occurred|Suggested fixes"
    r"|\(?Size-like symbols|consider using|Caused by|Set TORCH|You can suppress|While executing"
    r"|Original traceback|Use tlparse|Please report)"
)

_MARKUP = re.compile(r"([\\`*_\[\]|~<>&@#:$]|(?i:(?<=www))\.)")


def escaped(text: str) -> str:
    """Text as Markdown that is no markup, mention or link, in one line: labels are not trusted."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def as_text(name: str) -> str:
    r"""The name of a file as UTF-8 can hold it: a byte that is no text becomes ``\xff``."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_text(name: str) -> bool:
    """Whether a name, as Python gives it, is UTF-8."""
    return as_text(name) == name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'a' or 'b'?`` with what is spelt nearly as a name; empty if nothing is."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def whole_cause(error: BaseException) -> str:
    """Say in one line which error started it all, with all it says of the reason, no full stop."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines()]
    told = [re.split(r" For more information", line)[0] for line in lines]
    words = " ".join(line for line in told if line and not _PADDING.match(line))
    words = " ".join(words.split()).rstrip(".")
    if len(words) > _LONGEST:
        words = words[:_LONGEST].rstrip() + " …"
    name = type(error).__name__
    return f"{name}: {words}" if words else name
