"""Numbers and names as the report words them: as the page of the service does."""

from __future__ import annotations


def number_of(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def per_cent(share: float, decimals: int = 0) -> str:
    """A share, 0 to 1, in per cent; what is less than half a unit below zero is zero."""
    return f"{round(100 * share, decimals) + 0.0:.{decimals}f} %"


def label_of(text: str) -> str:
    """A label or a name as people read it: underscores are spaces."""
    return text.replace("_", " ")


def is_named(number: int, name: str) -> bool:
    """Whether somebody named the part; "prototype 2" is what the export writes."""
    return name != f"prototype {number}"


def fixed_name(number: int, name: str) -> str:
    """What a part is called in every picture: its number, and its name where it has one."""
    return f"#{number} {label_of(name)}" if is_named(number, name) else f"#{number}"
