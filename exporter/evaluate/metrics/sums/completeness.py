"""Completeness: do the contributions add up, and which axioms does the split meet?

The residual is that of the paper's eq. 8, relative to the size of the summands, because the logit
of a class may be near zero on every image:

    max over n of |sum_i c_ni + constant_n - logit_n| / max over n of (sum_i |c_ni| + |constant_n|)

The axioms are those of the paper's Table 1, after Sundararajan, Taly and Yan, "Axiomatic
Attribution for Deep Networks" (ICML 2017), with the feature map x (p, d) as the input, a map of
zeros as the baseline and f(x) = mean over positions of x @ v as the function. Prototype i
attributes a_ji(x) = x_j @ p~_i / p to position j. Measured is the largest violation:

    completeness  |sum_ji a_ji(x) - f(x)|
    sensitivity   x with all but position j set to zero: |sum_i a_ji - f|, and |a_li| of any other l
    linearity     |a(2 x - 3 y) - 2 a(x) + 3 a(y)|, in the features
    symmetry      positions swapped swap their attributions; equal positions have equal ones

each over max over n of |f(x_n)|. Attributions are computed in the precision of the arrays given,
as they are served, and f in float64; an exact split is left with rounding. Linearity in the heads,
a f_1 + b f_2 explained by a and b times their explanations, needs the method, not its result:
head_linearity.

Symbols: n images, p positions, d channels, k prototypes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from serving.drawing.peaks import Floats
from serving.model.explanation import completeness_residual as residual_of

_MIXTURE = (2, -3)
"""The combination that linearity is measured on."""


@dataclass(frozen=True)
class Axioms:
    """The largest violation of each axiom over the largest logit; 0 where it is met."""

    completeness: float
    sensitivity: float
    linearity: float
    symmetry: float


def completeness_residual(
    contributions: Floats, constant: NDArray[np.float64] | float, logits: Floats
) -> float | None:
    """How far the contributions are from the logit, relative to the size of what is summed.

    Args:
        contributions: (n, k).
        constant: (n,) or a number, what else the logit holds: bias, common term and what comes
            from no place.
        logits: (n,), of the class.

    Returns:
        0 or more; None if every summand is 0 or there are no images.
    """
    target = np.asarray(logits, dtype=np.float64)
    summands = np.abs(contributions).sum(axis=1, dtype=np.float64) + np.abs(constant)
    return _relative(_largest(residual_of(contributions, constant, target)), _largest(summands))


def axioms(features: Floats, row: Floats, prototypes: Floats) -> Axioms | None:
    """The four axioms, measured on feature maps.

    Args:
        features: (n, p, d).
        row: (d,), the head row that was split, less the reference if there is one.
        prototypes: (k, d), any linear split of the row.

    Returns:
        The violations; None if every logit is 0 or there are no images.
    """
    logits = _function(features, row)
    scale = _largest(logits)
    if scale == 0:
        return None
    total = _attributions(features, prototypes).sum(axis=(1, 2), dtype=np.float64)
    return Axioms(
        completeness=_largest(total - logits) / scale,
        sensitivity=max(_sensitivity(image, row, prototypes) for image in features) / scale,
        linearity=_linearity(features, prototypes) / scale,
        symmetry=_symmetry(features, prototypes) / scale,
    )


def head_linearity(
    features: Floats, first: Floats, second: Floats, split: Callable[[Floats], Floats]
) -> float | None:
    """Whether a mixture of two heads is explained by the mixture, summed over prototypes.

    Args:
        features: (n, p, d).
        first: (d,), a head row.
        second: (d,), another.
        split: The method: a row (d,) to its prototypes (k, d). It is called three times.

    Returns:
        The largest violation at a position over the largest logit of the mixture; None if that is 0
        or there are no images.
    """
    mixture = _MIXTURE[0] * first + _MIXTURE[1] * second
    one, other, whole = (
        _attributions(features, split(row)).sum(axis=2, dtype=np.float64)
        for row in (first, second, mixture)
    )
    violation = _largest(whole - _MIXTURE[0] * one - _MIXTURE[1] * other)
    return _relative(violation, _largest(_function(features, mixture)))


def _function(features: Floats, row: Floats) -> NDArray[np.float64]:
    """f, (...,) of features (..., p, d)."""
    doubles = features.astype(np.float64) @ row.astype(np.float64)
    return np.asarray(doubles.mean(axis=-1))


def _attributions(features: Floats, prototypes: Floats) -> Floats:
    """a, (..., p, k) of features (..., p, d)."""
    return np.asarray(features @ prototypes.T / features.shape[-2])


def _sensitivity(image: Floats, row: Floats, prototypes: Floats) -> float:
    """The violation of one image (p, d), whose positions in turn are all that differs from zero."""
    alone = np.eye(len(image), dtype=image.dtype)[:, :, None] * image  # (p, p, d)
    found = _attributions(alone, prototypes)  # (p, p, k)
    own = np.diagonal(found).sum(axis=0, dtype=np.float64)  # (p,)
    others = np.where(np.eye(len(image), dtype=bool)[:, :, None], 0, found)
    return max(_largest(own - _function(alone, row)), _largest(others))


def _linearity(features: Floats, prototypes: Floats) -> float:
    others = np.roll(features, 1, axis=0)
    mixture = _attributions(_MIXTURE[0] * features + _MIXTURE[1] * others, prototypes)
    one, other = _attributions(features, prototypes), _attributions(others, prototypes)
    return _largest(mixture - _MIXTURE[0] * one - _MIXTURE[1] * other)


def _symmetry(features: Floats, prototypes: Floats) -> float:
    found = _attributions(features, prototypes)
    swapped = _attributions(features[:, ::-1], prototypes)[:, ::-1]
    equal = np.repeat(features[:, :1], features.shape[1], axis=1)  # positions that f cannot tell
    same = _attributions(equal, prototypes)
    return max(_largest(found - swapped), _largest(same - same[:, :1]))


def _largest(values: Floats) -> float:
    return float(np.abs(values).max(initial=0))


def _relative(violation: float, scale: float) -> float | None:
    return violation / scale if scale > 0 else None


def _residual(case: Case) -> Value:
    """The artifact's prototypes leave out a reference, the baselines know none.

    What the head adds from no place is no part of the features that all of them explain; the
    artifact's own graph says it.
    """
    trial, subject = case.trial, case.subject
    constant = np.full(len(trial.logits), subject.head.bias[trial.index], dtype=np.float64)
    constant += trial.unplaced
    if case.method.name == OURS:
        constant += trial.maps.mean(axis=1) @ subject.reference
    return completeness_residual(case.contributions, constant, trial.logits[:, trial.index])


def _violation(case: Case) -> Value:
    """The largest of the four, by prototypes of the row or meant for it, as they are served."""
    row = case.method.row
    if row is None:
        row = case.subject.head.weight[case.trial.index].astype(np.float64)
    features = case.trial.maps[: case.runs.count]
    found = axioms(features, row, case.prototypes.astype(np.float32))
    if found is None:
        return None
    return max(found.completeness, found.sensitivity, found.linearity, found.symmetry)


_PAPER = "Tan, Zhou and Chen, ICML 2024"

METRICS = (
    Metric(
        name="completeness",
        title="Completeness residual",
        better="lower",
        meaning="|sum of contributions + what else is added - logit|, of its summands",
        source=f"{_PAPER}, eq. 8",
        blind="A sum says nothing of its parts: k copies of one map are complete too.",
        needs=(Need.ROW,),
        measure=_residual,
    ),
    Metric(
        name="axioms",
        title="Axioms",
        better="lower",
        meaning="largest violation of the paper's four, of the largest logit",
        source=f"{_PAPER}, Table 1; Sundararajan et al., ICML 2017",
        blind="Every exact split meets them, copies and parts that cancel alike.",
        needs=(Need.PROTOTYPES, Need.MANY_RUNS),
        measure=_violation,
    ),
)
