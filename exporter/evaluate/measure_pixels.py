"""The metrics that run the network on altered pixels, and the baselines that only say where.

Symbols: n images, c classes, d channels, h×w grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.baselines.grad_cam import grad_cam
from exporter.evaluate.baselines.methods import GRAD_CAM, RISE, Method
from exporter.evaluate.baselines.rise import rise
from exporter.evaluate.localization import min_max
from exporter.evaluate.metrics.pointing.comprehensiveness import comprehensiveness
from exporter.evaluate.metrics.sums.insertion_deletion import blurred, mean_colour, pixel_curves
from exporter.evaluate.metrics.truth.background import background_share
from exporter.evaluate.subject import Subject
from exporter.evaluate.trial import Trial
from exporter.images.features import FeatureReader

Floats = NDArray[np.float32]
Value = float | tuple[float, ...] | None
"""A figure, one for each draw of the noise, or None where it is not defined."""

PIXEL_CURVES = ("pixel_deletion", "pixel_insertion")

_RISE_MASKS = 256
_STEPS = 16


@dataclass(frozen=True)
class Probe:
    """What runs the network while a class is measured.

    Attributes:
        subject: The artifact.
        reader: Its classifier.
        random_reader: The same with shuffled weights.
        network_images: Images of the class for the metrics that run the network many times.
        seed: Of the masks of RISE.
    """

    subject: Subject
    reader: FeatureReader
    random_reader: FeatureReader
    network_images: int
    seed: int


def measure_pixels(
    trial: Trial, methods: Sequence[Method], probe: Probe
) -> dict[str, dict[str, Value]]:
    """Insertion and deletion over pixels of every method, and Grad-CAM and RISE.

    Args:
        trial: The images of one class; the first ``network_images`` are used.
        methods: Those that explain by prototypes. Where they sum to the same row they have the
            same class map, which is measured once.
        probe: Runs the network.

    Returns:
        Figures by method, then metric.
    """
    count = min(probe.network_images, len(trial.pictures))
    curves = _Curves(trial.tensors(count), trial.index, probe)
    figures: dict[str, dict[str, Value]] = {}
    measured: list[tuple[NDArray[np.float64], dict[str, Value]]] = []
    for method in methods:
        known = next((found for row, found in measured if _same(row, method.row)), None)
        if known is None:
            heatmaps = method.heatmaps(trial.maps[:count], trial.grid)
            known = curves.measure(heatmaps.sum(axis=1))
            if method.row is not None:
                measured.append((method.row, known))
        figures[method.name] = known
    gradient = class_map(trial, probe.subject)
    figures[GRAD_CAM] = {**curves.measure(gradient[:count]), **where(trial, gradient)}
    saliency = curves.rise()
    # Every pixel of a mean over masks is positive: only what stands out says where.
    figures[RISE] = {**curves.measure(saliency), **where(trial, min_max(saliency))}
    return figures


def class_map(trial: Trial, subject: Subject) -> Floats:
    """Grad-CAM of the class, (n, h, w)."""
    maps = trial.maps.transpose(0, 2, 1).reshape(len(trial.maps), -1, *trial.grid)
    return grad_cam(maps, subject.head.weight[trial.index])


class _Curves:
    """Runs the network on some images of one class with pixels taken away."""

    def __init__(self, tensors: Floats, class_id: int, probe: Probe) -> None:
        self._tensors, self._class, self._probe = tensors, class_id, probe
        self._layout = probe.subject.preprocessing.layout
        self._grey = mean_colour(tensors, self._layout)
        self._blurred = blurred(tensors, self._layout)

    def measure(self, class_map: Floats) -> dict[str, Value]:
        """The areas under both curves, pixels ordered by a class map (n, h, w)."""
        found = pixel_curves(
            self._tensors,
            class_map,
            self._logits,
            self._class,
            deleted_to=self._grey,
            inserted_into=self._blurred,
            steps=_STEPS,
            layout=self._layout,
        )
        if found is None:
            return {}
        return dict(zip(PIXEL_CURVES, (found.deletion_area, found.insertion_area), strict=True))

    def rise(self) -> Floats:
        """The saliency of RISE, (n, height, width)."""
        return rise(
            self._tensors,
            self._logits,
            self._class,
            masks=_RISE_MASKS,
            seed=self._probe.seed,
            layout=self._layout,
        )

    def _logits(self, tensors: Floats) -> Floats:
        return self._probe.reader.run(tensors)[1]


def where(trial: Trial, maps: Floats) -> dict[str, Value]:
    """The metrics that one map of the class has too, (n, h, w) of its first images."""
    if trial.truth is None:
        return {}
    foreground = trial.truth.foreground[: len(maps)]
    return {
        "comprehensiveness": comprehensiveness(maps[:, None], foreground),
        "background_evidence": background_share(maps[:, None], foreground),
    }


def _same(first: NDArray[np.float64], second: NDArray[np.float64] | None) -> bool:
    """Whether two rows are equal up to float32 rounding of their parts."""
    if second is None:
        return False
    return float(np.abs(first - second).max()) <= 1e-5 * float(np.abs(first).max())
