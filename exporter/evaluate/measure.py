"""Every metric of one class, for every method: the catalog, asked about each case.

Symbols: n images, h×w grid, H×W view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import min_max
from exporter.evaluate.baselines.grad_cam import grad_cam
from exporter.evaluate.baselines.methods import GRAD_CAM, RISE, ClassMap, Method
from exporter.evaluate.baselines.rise import rise
from exporter.evaluate.metrics.catalog import METRICS
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.metric import Value
from exporter.evaluate.trial.run import Trial
from exporter.evaluate.trial.runs import Probe, Runs
from exporter.evaluate.trial.subject import Subject

Floats = NDArray[np.float32]

_RISE_MASKS = 256


@dataclass(frozen=True)
class Measured:
    """The figures of one class.

    Attributes:
        label: The class's label.
        images: How many images it has, n.
        figures: The figures by method, then metric.
    """

    label: str
    images: int
    figures: dict[str, dict[str, Value]]


def measure_class(
    trial: Trial,
    subject: Subject,
    methods: Sequence[Method],
    again: Mapping[str, Method],
    probe: Probe,
) -> Measured:
    """Measure every method on the images of one class, and the baselines of one map.

    Grad-CAM is one of these only where its gradient is the head row: behind a mean.

    Args:
        trial: The images, as every method sees them.
        subject: The artifact.
        methods: What to compare; their order is kept.
        again: By name, the methods found once more with another seed.
        probe: Runs the network.

    Returns:
        The figures, of Grad-CAM and RISE last.
    """
    runs = Runs(trial, probe)
    figures = {
        method.name: measure_case(
            Case(trial, method, subject, again=again.get(method.name), runs=runs)
        )
        for method in methods
    }
    for case in _class_maps(trial, subject, runs):
        figures[case.method.name] = measure_case(case)
    return Measured(trial.label, len(trial.pictures), figures)


def measure_case(case: Case) -> dict[str, Value]:
    """Every metric whose needs a case meets.

    Args:
        case: One method on the images of one class.

    Returns:
        The figures by metric, in the catalog's order.
    """
    return {metric.name: metric.measure(case) for metric in METRICS if metric.fits(case)}


def _class_maps(trial: Trial, subject: Subject, runs: Runs) -> Iterator[Case]:
    """Grad-CAM on all images; RISE, which follows the probability, on the first ones."""
    if subject.head.chain is None:
        maps = trial.maps.transpose(0, 2, 1).reshape(len(trial.maps), -1, *trial.grid)
        gradient = grad_cam(maps, subject.head.weight[trial.index])
        yield Case(trial, ClassMap(GRAD_CAM, gradient, gradient), subject, runs=runs)
    if not subject.by_softmax:
        return
    saliency = rise(
        runs.tensors,
        runs.logits,
        trial.index,
        masks=_RISE_MASKS,
        seed=runs.seed,
        layout=runs.layout,
    )
    # Every pixel of a mean over masks is positive: only what stands out says where.
    method = ClassMap(RISE, min_max(saliency), saliency)
    first = trial.only(np.arange(len(trial.pictures)) < runs.count)
    yield Case(first, method, subject, runs=runs)
