"""Markdown tables, and the sections of a document that a run replaces.

A section stands between two comments and is written by a run alone:

    <!-- toybirds/table1 -->
    ...
    <!-- /toybirds/table1 -->
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from exporter.evaluate.arithmetic.statistics import Difference, Spread
from exporter.evaluate.tables import DASH, number


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(value: Spread | None) -> str:
    """A mean with its deviation over seeds."""
    if value is None:
        return DASH
    # A deviation below what is shown says that the seeds agree.
    if value.deviation is None or value.deviation < 0.0005:
        return number(value.mean)
    return f"{number(value.mean)} ± {number(value.deviation)}"


def difference(value: Difference | None) -> str:
    """A difference with its interval, in bold where that leaves out zero."""
    if value is None:
        return DASH
    mean, low, high = (_plain(found) for found in (value.mean, value.low, value.high))
    text = f"{mean} [{low}, {high}]"
    return f"**{text}**" if value.low > 0 or value.high < 0 else text


def _plain(value: float) -> str:
    """Three decimals; what is smaller than that between two figures is no difference."""
    return f"{value + 0.0:.3f}".replace("-0.000", "0.000")


def replace_sections(document: str, name: str, sections: Mapping[str, str]) -> str:
    """Put new text into the sections of a document.

    Args:
        document: The document.
        name: Name of the data set.
        sections: Text by section.

    Raises:
        ValueError: The document has no such section, or has it twice.
    """
    for section, text in sections.items():
        pattern = _section(f"{name}/{section}")
        count = len(pattern.findall(document))
        if count != 1:
            raise ValueError(
                f"expected one section <!-- {name}/{section} --> with its end <!-- /{name}/"
                f"{section} -->, found {count}."
            )
        document = pattern.sub(partial(_filled, text=text), document)
    return document


def _section(key: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(key)} -->\n).*?(<!-- /{re.escape(key)} -->)", re.DOTALL)


def _filled(found: re.Match[str], text: str) -> str:
    return f"{found[1]}\n{text.strip()}\n\n{found[2]}"
