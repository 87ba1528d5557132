"""What every solver of the decomposition returns, and how it says that it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Ending(Enum):
    """How a solver ended.

    Attributes:
        SETTLED: By its own rule; also where the answer has a closed form.
        LIMIT: At a limit, of iterations or of what arithmetic resolves, before its rule was met.
        BUDGET: By its own rule, with prototypes that cancel more than the budget allows even at
            the largest lambda (regression.py).
    """

    SETTLED = "settled"
    LIMIT = "limit reached"
    BUDGET = "over the budget"

    @classmethod
    def of(cls, settled: bool) -> Ending:
        """The ending of a solver that knows its own rule and its limit only."""
        return cls.SETTLED if settled else cls.LIMIT


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a solve went, without what it found.

    Attributes:
        iterations: Steps taken; 0 where the answer has a closed form.
        objective: The minimised quantity at the answer, as the solver's docstring defines it.
        ending: How it ended.
    """

    iterations: int
    objective: float
    ending: Ending

    @property
    def converged(self) -> bool:
        """Whether the solver ended by its own rule and within the budget."""
        return self.ending is Ending.SETTLED


@dataclass(frozen=True, kw_only=True)
class Solution(Summary, Generic[Value]):
    """What a solve found, and how it went.

    Attributes:
        value: The answer.
        trace: The objective at each check, in order, where the solver keeps it.
    """

    value: Value
    trace: tuple[float, ...] = ()

    def summary(self) -> Summary:
        """How the solve went; unlike the solution it keeps no array alive."""
        return Summary(iterations=self.iterations, objective=self.objective, ending=self.ending)
