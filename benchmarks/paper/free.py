"""What needs no annotation, of completeness, cancellation, redundancy, equivariance and seeds."""

from __future__ import annotations

from benchmarks.paper.figure5 import Figure5
from benchmarks.paper.measure import FREE

SECTION = "free"


class Free(Figure5):
    """Methods side by side, without annotations and without a figure."""

    metrics = FREE
    drawn = False
