"""What one method says of one class: everything that a metric may look at, computed once.

A metric states in its ``needs`` what a case must hold, and reads no more: what a case lacks cannot
be read, so that a need that was forgotten is found.

Symbols: n images, k prototypes, d channels, p = h*w positions, q parts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import hits, visible
from exporter.evaluate.baselines.methods import ClassMap, Method
from exporter.evaluate.trial.run import Trial, Truth
from exporter.evaluate.trial.runs import Runs
from exporter.evaluate.trial.subject import Subject
from serving.drawing.peaks import peaks

Floats = NDArray[np.float32]
Result = TypeVar("Result")


class Need(Enum):
    """What a case must hold for a metric to be measured; the value says it in words."""

    SPLIT = "a heatmap of each prototype"
    PROTOTYPES = "prototypes that look at the picture"
    ROW = "prototypes that sum to the head row"
    AGAIN = "the method found with another seed"
    KEYPOINTS = "keypoints"
    MASKS = "exact masks"
    REMOVED = "pictures without a part"
    BACKDROPS = "other backdrops"
    SOFTMAX = "a softmax"
    SHUFFLED = "a network of shuffled weights"
    MANY_RUNS = "many runs over the first images"


class Case:
    """One method on the pictures of one class.

    Args:
        trial: The pictures, as every method sees them.
        method: What explains the class; a class map has one heatmap and no prototypes.
        subject: The artifact.
        again: The method found once more with another seed; None where that was not done.
        runs: Runs the network further; None where it is not to.

    Attributes:
        trial: As given.
        method: As given.
        subject: As given.
    """

    def __init__(
        self,
        trial: Trial,
        method: Method | ClassMap,
        subject: Subject,
        *,
        again: Method | None = None,
        runs: Runs | None = None,
    ) -> None:
        self.trial, self.method, self.subject = trial, method, subject
        self._again, self._runs = again, runs
        self._known: dict[Hashable, Any] = {}

    @cached_property
    def holds(self) -> frozenset[Need]:
        """What metrics may ask of this case."""
        trial, truth = self.trial, self.trial.truth
        split = isinstance(self.method, Method)
        looks = isinstance(self.method, Method) and self.method.prototypes is not None
        known = {
            Need.SPLIT: split,
            Need.PROTOTYPES: looks,
            Need.ROW: looks and self.method.row is not None,
            Need.AGAIN: self._again is not None,
            Need.KEYPOINTS: trial.points is not None and bool(visible(trial.points).any()),
            Need.MASKS: truth is not None,
            Need.REMOVED: truth is not None and len(truth.removed) > 0,
            Need.BACKDROPS: truth is not None and len(truth.moved) > 0,
            Need.SOFTMAX: self.subject.by_softmax,
            Need.SHUFFLED: self._runs is not None,
            Need.MANY_RUNS: self._runs is not None,
        }
        return frozenset(need for need, met in known.items() if met)

    def once(self, compute: Callable[[Case], Result]) -> Result:
        """What a function makes of this case, computed once however many metrics ask for it."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(Result, self._known[compute])

    def heatmaps_of(self, maps: Floats) -> Floats:
        """The heatmaps (m, k, h, w) that the method makes of feature maps (m, p, d)."""
        return self.method.heatmaps(maps, self.trial.grid)

    @cached_property
    def heatmaps(self) -> Floats:
        """(n, k, h, w), of the pictures as they are."""
        return self.heatmaps_of(self.trial.maps)

    @cached_property
    def contributions(self) -> Floats:
        """(n, k), the mean of each heatmap; logit units where the prototypes sum to the row."""
        return np.asarray(self.heatmaps.mean(axis=(2, 3)))

    @cached_property
    def ranking(self) -> Floats:
        """(n, h, w), the one map of the class that orders its pixels."""
        if isinstance(self.method, ClassMap):
            return self.method.ranking
        return np.asarray(self.heatmaps.sum(axis=1))

    @cached_property
    def peaks(self) -> NDArray[np.intp]:
        """(n, k, 2), x and y of the peak of each heatmap in pixels of the view."""
        return peaks(self.heatmaps, self.trial.size)

    @cached_property
    def hits(self) -> NDArray[np.bool_]:
        """(n, k, q), which keypoints lie in the box around each peak."""
        return hits(self.peaks, self.points, self.trial.size)

    def hits_of(self, maps: Floats) -> NDArray[np.bool_]:
        """The same on feature maps (n, p, d) of the pictures changed, whose keypoints stay."""
        return hits(peaks(self.heatmaps_of(maps), self.trial.size), self.points, self.trial.size)

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, q, 2), the keypoints in pixels of the view, NaN where not visible."""
        return self._held(self.trial.points, Need.KEYPOINTS)

    @property
    def truth(self) -> Truth:
        """What is known of the pictures to the pixel."""
        return self._held(self.trial.truth, Need.MASKS)

    @property
    def prototypes(self) -> NDArray[np.float64]:
        """(k, d), the prototypes."""
        return self._held(self.method.prototypes, Need.PROTOTYPES)

    @property
    def again(self) -> Method:
        """The method found once more with another seed."""
        return self._held(self._again, Need.AGAIN)

    @property
    def runs(self) -> Runs:
        """Further runs of the network."""
        return self._held(self._runs, Need.MANY_RUNS)

    @staticmethod
    def _held(value: Result | None, need: Need) -> Result:
        if value is None:
            raise LookupError(
                f"expected a case with {need.value}, got one without. Add Need.{need.name} to the "
                "needs of the metric that reads it."
            )
        return value
