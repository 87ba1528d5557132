"""What every solver of the decomposition returns."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a solve went, without what it found.

    Attributes:
        iterations: steps taken; 0 where the answer has a closed form.
        objective: the minimised quantity at the answer, as the solver's docstring defines it.
        converged: whether the solver stopped by its own rule and not at its iteration limit.
    """

    iterations: int
    objective: float
    converged: bool


@dataclass(frozen=True, kw_only=True)
class Solution(Summary, Generic[Value]):
    """What a solve found, and how it went.

    Attributes:
        value: the answer.
        trace: the objective at each check, in order, where the solver keeps it.
    """

    value: Value
    trace: tuple[float, ...] = ()

    def summary(self) -> Summary:
        """Returns how the solve went; unlike the solution it keeps no array alive."""
        return Summary(
            iterations=self.iterations, objective=self.objective, converged=self.converged
        )
