"""A promise against what was measured: what the gates of a verification share."""

from __future__ import annotations

import numpy as np

from serving.artifact import GateRecord

COMPLETENESS = 1e-5
"""What float32 sums may be off, relative to the largest logit of the image."""


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
