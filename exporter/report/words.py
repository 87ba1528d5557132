"""Numbers as the report words them: as the page of the service does."""

from __future__ import annotations

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_of(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def per_cent(share: float, decimals: int = 0) -> str:
    """A share, 0 to 1, in per cent; what is less than half a unit below zero is zero."""
    return f"{round(100 * share, decimals) + 0.0:.{decimals}f} %"


def tiny(value: float) -> str:
    """A small positive number as people write it: 7 × 10⁻⁷."""
    if value == 0:
        return "0"
    digit, power = f"{value:.0e}".split("e")
    return f"{digit} × 10{str(int(power)).translate(_RAISED)}"
