"""The warnings of a report, by the names that a pipeline gives."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.text import did_you_mean


def kinds_named(names: Iterable[str]) -> frozenset[str]:
    """The rules that are named; ``any`` names each of them.

    Raises:
        ValueError: There is no rule of a name.
    """
    from exporter.report.rules import BY_KIND

    kinds: set[str] = set()
    for name in names:
        if name != "any" and name not in BY_KIND:
            near = did_you_mean(name, BY_KIND)
            raise ValueError(
                f"expected the name of a warning, got {name!r}.{near} There are any, "
                f"{', '.join(BY_KIND)}."
            )
        kinds |= set(BY_KIND) if name == "any" else {name}
    return frozenset(kinds)
