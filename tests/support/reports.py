"""A class without a fault, as a report measures it, and an evaluation as one wants it."""

import numpy as np
from records import decomposed

from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.results import Difference, Evaluation, Figure, MetricRecord
from exporter.report.measure import ClassFigures, HeldOut, Pair

RECORD = decomposed(4, "wren", "prototype 0", "red tail", images=40)
HELD_OUT = HeldOut(
    images=10,
    skipped=0,
    recognised=0.9,
    residual=1e-7,
    contributions=np.array([3.0, 2.0]),
    shares=np.array([0.6, 0.4]),
    negative=0.0,
    cancelled=0.2,
    border=np.zeros(2),
    off_object=None,
    off_parts=None,
    steady=None,
    turned=None,
    drawn=0,
    pointed=0,
)
FIGURES = ClassFigures(
    live=(0, 1),
    norms=np.ones(2),
    norm_sum=1.4,
    pairs=(Pair(0, 1, 0.1, 0.2),),
    held_out=HELD_OUT,
)


def evaluation(artifact="0" * 64, baselines=("random",), **differences):
    """Two classes and baselines; a metric's value in ours, and the interval of the difference."""
    ours, theirs = {}, {}
    for name, (value, low, high) in differences.items():
        ours[name] = Figure(mean=value, classes=(value, value))
        theirs[name] = Figure(
            mean=0.5, classes=(0.5, 0.5), ours=Difference(mean=(low + high) / 2, low=low, high=high)
        )
    return Evaluation(
        artifact=artifact, source="tiny.onnx", prototypes=2, classes=("a", "b"), images=2,
        skipped=0, parts=(), seeds=1, methods=("ours", *baselines),
        metrics=tuple(MetricRecord.of(metric_named(name)) for name in differences),
        figures={"ours": ours, **dict.fromkeys(baselines, theirs)},
    )  # fmt: skip
