"""A promise against what was measured: what the gates of a verification share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.artifact import GateRecord
from serving.model.outputs import Outputs

COMPLETENESS = 1e-5
"""What float32 sums may be off, relative to the size of their summands."""

SUMMANDS = "of the summands"
_TINY = float(np.finfo(np.float32).tiny)


def summands(outputs: Outputs, bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """The size of what each logit is the sum of, by which float32 rounds it.

        sum of |contributions| + |bias| + |common| + |unplaced| + |rounding|,

    not the logit, which may cross zero, and of each class on its own, because a masked class has a
    bias of -1e9. Contributions may be near zero too, all at once by chance among many; they are
    sums over channels and round by those. So no class counts less than the median without biases.

    Args:
        outputs: Of b images and t classes.
        bias: The head's bias (c,), logit units.

    Returns:
        (b, t), above 0, logit units.
    """
    found = np.abs(outputs.contributions).sum(axis=2, dtype=np.float64)
    found += np.abs(outputs.common)
    found += np.abs(outputs.unplaced) + np.abs(outputs.rounding)
    own = found + np.abs(bias[outputs.class_ids])
    return np.asarray(np.maximum(own, max(float(np.median(found)), _TINY)))


def worst(first: float, second: float) -> float:
    """The larger one; unlike max, NaN wins and stays."""
    return float(np.maximum(first, second))


def limit_gate(name: str, value: float, limit: float, unit: str) -> GateRecord:
    """The gate of a value that may not exceed a limit; NaN exceeds every one."""
    return GateRecord(
        name=name,
        state="passed" if value <= limit else "failed",
        value=value if np.isfinite(value) else None,
        limit=limit,
        detail=f"{value:.3g} {unit}, limit {limit:g}",
    )


def count_gate(name: str, failing: int, total: int, promise: str) -> GateRecord:
    """The gate of a promise that every one of ``total`` has to keep."""
    return GateRecord(
        name=name,
        state="failed" if failing else "passed",
        value=float(failing),
        limit=0.0,
        detail=f"{total - failing} of {total} {promise}",
    )
