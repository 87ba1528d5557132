"""The figures of one method on the held-out images of one class."""

from __future__ import annotations

from dataclasses import replace

from exporter.evaluate.baselines.methods import Method
from exporter.evaluate.measure import measure_case
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.run import Trial
from exporter.evaluate.trial.subject import Subject

Figures = dict[str, float | None]

POINTING = (
    "consistency",
    "distinct_parts",
    "stability",
    "distinctiveness",
    "part_purity",
    "part_iou",
    "deletion_rank",
    "deletion_share",
)
"""Where prototypes point: all but distinctiveness need annotations, the last four drawn truth."""

FREE = (
    "completeness",
    "negative_share",
    "norm_sum",
    "cosine",
    "correlation",
    "mirror",
    "shift",
    "prototype_deletion",
    "prototype_insertion",
    "seed_overlap",
)
"""What needs no annotation."""

ROUNDING = ("completeness",)
"""What is nothing but rounding: its differences say nothing."""


def measure(subject: Subject, trial: Trial, method: Method, draw: int) -> Figures:
    """Every figure of a method that one seed gives.

    Args:
        subject: The artifact.
        trial: The images of the class.
        method: Its prototypes.
        draw: Which draw of the noise.
    """
    found = measure_case(Case(replace(trial, noisy=(trial.noisy[draw],)), method, subject))
    return {name: v[0] if isinstance(v, tuple) else v for name, v in found.items()}
