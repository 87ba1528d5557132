"""Numbers as the report words them."""

from __future__ import annotations


def number_of(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def per_cent(share: float, decimals: int = 0) -> str:
    """A share, 0 to 1, in per cent; what is less than half a unit below zero is zero."""
    return f"{round(100 * share, decimals) + 0.0:.{decimals}f} %"
