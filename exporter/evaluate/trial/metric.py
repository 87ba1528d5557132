"""How a metric is described: what it says, which way is better, what it needs and cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from exporter.evaluate.trial.case import Case, Need

Value = float | tuple[float, ...] | None
"""A figure, one for each draw of the noise, or None where it is not defined."""


@dataclass(frozen=True)
class Metric:
    """One question to an explanation.

    Attributes:
        name: In files; no other metric has it.
        title: For people.
        better: Which way is better.
        meaning: What it says, in one clause.
        source: The paper, or the document, that it is taken from.
        blind: What it cannot tell, in one sentence.
        needs: What a case must hold; without one of them the metric is left out.
        measure: The figure of a case that holds them.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    meaning: str
    source: str
    blind: str
    needs: tuple[Need, ...]
    measure: Callable[[Case], Value]

    def fits(self, case: Case) -> bool:
        """Whether a case holds what the metric needs."""
        return case.holds.issuperset(self.needs)

    @property
    def arrow(self) -> str:
        """Which way is better, in one sign."""
        return "↑" if self.better == "higher" else "↓"
