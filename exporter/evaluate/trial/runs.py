"""Further runs of the network, for the metrics that ask for more than a trial holds.

A trial holds what every metric may look at. What only some ask for, and what takes long, is run
when the first of them asks, once for all methods of the class.

Symbols: n images, c classes, d channels, p = h*w positions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.trial.run import Trial
from exporter.images.features import FeatureReader
from serving.artifact.layout import ImageLayout

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Result = TypeVar("Result")

_SAME_ROW = 1e-5
"""Rows are equal when they differ by less, of the largest weight: float32 rounding of k parts."""


@dataclass(frozen=True)
class Probe:
    """What runs the network while classes are measured.

    Attributes:
        reader: The artifact's classifier.
        random_reader: The same with shuffled weights.
        network_images: Images of each class for the metrics that run the network many times.
        layout: How pictures lie in the input tensor.
        seed: What random choices start from, like the masks of RISE.
    """

    reader: FeatureReader
    random_reader: FeatureReader
    network_images: int
    layout: ImageLayout
    seed: int


class Runs:
    """The further runs on the pictures of one class.

    Args:
        trial: The pictures.
        probe: Runs the network.

    Attributes:
        count: Images for what takes long; the first of the trial.
        layout: How pictures lie in the input tensor.
        seed: What random choices start from.
    """

    def __init__(self, trial: Trial, probe: Probe) -> None:
        self._trial, self._probe = trial, probe
        self.count = min(probe.network_images, len(trial.pictures))
        self.layout = probe.layout
        self.seed = probe.seed
        self._known: dict[Hashable, Any] = {}
        self._by_row: dict[Hashable, list[tuple[Doubles, Any]]] = {}

    @cached_property
    def shuffled(self) -> Floats:
        """(n, p, d), the feature maps that a network of shuffled weights makes of the pictures."""
        tensors = self._trial.tensors(len(self._trial.pictures))
        return self._probe.random_reader.run(tensors)[0]

    @cached_property
    def tensors(self) -> Floats:
        """(count, ...), the input tensors of the first pictures in the network's layout."""
        return self._trial.tensors(self.count)

    def logits(self, tensors: Floats) -> Floats:
        """Run the network on any input tensors (m, ...): their logits (m, c)."""
        return self._probe.reader.run(tensors)[1]

    def maps(self, tensors: Floats) -> Floats:
        """Run the network on any input tensors (m, ...): their feature maps (m, p, d)."""
        return self._probe.reader.run(tensors)[0]

    def once(self, compute: Callable[[Runs], Result]) -> Result:
        """What a function makes of these runs, computed once for all methods of the class."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(Result, self._known[compute])

    def once_for_row(self, what: Hashable, row: Doubles, compute: Callable[[], Result]) -> Result:
        """A result that follows from the sum of the prototypes alone, computed once for each sum.

        Args:
            what: Names the result; different results have different names.
            row: (d,), what the prototypes sum to. Rows that are equal up to rounding share it.
            compute: Makes the result.
        """
        known = self._by_row.setdefault(what, [])
        for other, result in known:
            if _same(other, row):
                return cast(Result, result)
        found = compute()
        known.append((row, found))
        return found


def _same(first: Doubles, second: Doubles) -> bool:
    """Whether two rows (d,) are equal up to float32 rounding of their parts."""
    return float(np.abs(first - second).max()) <= _SAME_ROW * float(np.abs(first).max())
