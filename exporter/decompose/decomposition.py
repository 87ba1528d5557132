"""From the features of one class and its head row to k part-prototypes.

The prototypes sum to the row, so that for any features x the heatmaps x @ prototypes_i sum to the
evidence x @ row (paper, eq. 7 and 8).

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; the row v (d,) is the
class's row of the head, less the reference where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from exporter.decompose import multiplicative, nmf
from exporter.decompose.parts import Parts
from exporter.decompose.refinement import (
    Heatmaps,
    Start,
    equal_split,
    first_shares,
    naive_split,
    nelder_mead_split,
    require_simplex,
)
from exporter.decompose.regression import (
    BUDGET,
    LARGEST,
    Alternation,
    discovery_weights,
)
from exporter.decompose.scaling import scale
from exporter.decompose.selection import CANDIDATES, select
from exporter.decompose.shares import peak_shares
from exporter.decompose.solution import Ending, Solution, Summary
from exporter.errors import DecompositionError
from exporter.smoothing import NONE, Passes, passes_for

Method = Literal["evidence", "paper", "naive"]

MINIMUM_IMAGES = 2  # one to fit and one to look at unseen
_MEANING = {
    Ending.LIMIT: "The contributions still add up, but the step had not settled: where these "
    "prototypes point may change with other images or another seed",
    Ending.BUDGET: f"The contributions still add up, but even at lambda = {LARGEST:g} the norms of "
    f"these prototypes add up to more than {BUDGET:g} times that of the row: their heatmaps cancel "
    "each other, so do not read one without the others",
}


@dataclass(frozen=True)
class Decomposition:
    """The part-prototypes of one class.

    Attributes:
        prototypes: p~, (k, d) float64; their sum is the row up to float64 rounding.
        scale: alpha of eq. 3, (k,) float64, of the NMF part that each prototype began as.
        residual_ratio: |R| / |v| after scaling; 0 for a row of zeros.
        regularization: The lambda chosen; None where nothing is regressed.
        discovery: How the factorisation went.
        scaling: How eq. 3 went.
        refinement: How the row was split; the objective is that of the method: of the regression
            for "evidence", of eq. 6 for "paper" and "naive".
        warnings: A sentence for each step that did not go as it should.
    """

    prototypes: NDArray[np.float64]
    scale: NDArray[np.float64]
    residual_ratio: float
    regularization: float | None
    discovery: Summary
    scaling: Summary
    refinement: Summary
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class EvidenceSplit:
    """How the evidence of one class was split.

    Attributes:
        parts: The parts; heatmaps are read off features and evidence by them.
        regularization: The lambda chosen; None for one part, where nothing is regressed.
        discovery: The factors that the parts began as, in their order, unweighted.
        summary: How the regression went.
    """

    parts: Parts
    regularization: float | None
    discovery: Solution[nmf.Factors]
    summary: Summary


@dataclass(frozen=True)
class _Refined:
    """Refined prototypes (k, d) before their sum is made exact, and how they were found."""

    prototypes: NDArray[np.float64]
    regularization: float | None
    summary: Summary
    warnings: tuple[str, ...] = ()


def smoothing_of(method: Method, grid: tuple[int, int]) -> Passes:
    """The passes of smoothing that belong to a method on a grid (h, w); the paper has none."""
    return passes_for(grid) if method == "evidence" else NONE


def require_feasible(method: Method, prototypes: int, channels: int, mapped: int = 0) -> None:
    """Refuse what no class can be decomposed with, before any features are read.

    Args:
        method: "evidence", "paper" or "naive".
        prototypes: k.
        channels: d.
        mapped: Those of a map in front of what the row reads, as :func:`decompose` has it.

    Raises:
        DecompositionError: There are more prototypes than channels, the problem is too large for
            the paper's solver, or the method gives no shares of a row.
    """
    if not 1 <= prototypes <= channels:
        raise DecompositionError(
            f"expected 1 to {channels} prototypes, one channel each at least, got {prototypes}."
        )
    if mapped and method != "evidence":
        raise DecompositionError(
            f"`method` {method}: expected a head that is linear on the mean of its feature map, "
            "found more steps between them, whose evidence can only be shared out. Use evidence."
        )
    if method == "paper":
        require_simplex((prototypes - 1) * channels)


def decompose(
    features: NDArray[np.float32],
    row: NDArray[np.float64],
    *,
    method: Method,
    prototypes: int,
    seed: int,
    start: Start = "zeros",
    own: NDArray[np.float64] | None = None,
) -> Decomposition:
    """Split the head row of one class into part-prototypes.

    Args:
        features: (n, p, d) float32, the feature maps of images of the class with the positions in
            one axis; of any sign, negative values count as zero in discovery.
        row: v, (d,) float64.
        method: "evidence", "paper" or "naive".
        prototypes: k, 1 to d.
        seed: Of discovery.
        start: Where the solver of "paper" begins.
        own: Where parts are found on a map, whose channels are in front of what each place gives of
            the vector that the row reads (docs/heads.md): the row as one of that map, (d',). A
            prototype is (c_i, w_i v) then. None where both are one.

    Returns:
        The decomposition. The same arguments give the same bytes on one BLAS thread.

    Raises:
        DecompositionError: There are too few images for k, the features are not finite or never
            positive, shapes do not fit, or the problem is too large for the paper's solver.
    """
    require_feasible(method, prototypes, len(row), 0 if own is None else len(own))
    _check(features, row, prototypes)
    size = float(np.linalg.norm(row))
    if method == "evidence":
        evidence = features.reshape(-1, len(row)) @ row.astype(np.float32)
        seen, read = features, row
        if own is not None:
            seen, read = np.ascontiguousarray(features[:, :, : len(own)]), own
            size = float(np.linalg.norm(own))
        split = split_evidence(seen, evidence, read, prototypes, seed)
        discovery, scaling = split.discovery, scale(split.discovery.value.prototypes, read)
        refined = _Refined(split.parts.prototypes(row), split.regularization, split.summary)
    else:
        discovery = multiplicative.factorize(_nonnegative(features), prototypes, seed)
        basis = discovery.value.prototypes
        scaling = scale(basis, row)
        refined = _refine_residual(features, row, basis, scaling.value, method, start)
    return Decomposition(
        prototypes=_complete(refined.prototypes, row),
        scale=scaling.value,
        residual_ratio=float(np.sqrt(scaling.objective)) / size if size > 0 else 0.0,
        regularization=refined.regularization,
        discovery=discovery.summary(),
        scaling=scaling.summary(),
        refinement=refined.summary,
        warnings=(
            *_unsettled("discovery", discovery),
            *_unsettled("scaling", scaling),
            *_unsettled("refinement", refined.summary),
            *refined.warnings,
        ),
    )


def split_evidence(
    features: NDArray[np.float32],
    evidence: NDArray[np.float32],
    row: NDArray[np.float64],
    count: int,
    seed: int,
) -> EvidenceSplit:
    """Split the evidence of one class into parts, whatever the evidence is made of.

    Args:
        features: (n, p, d) float32, of any sign; negative values count as zero in discovery.
        evidence: s, (n * p,) float32, what each position says for the class, logit units.
        row: v, (d,) float64: what s is read off the features by. The budget of cancellation is
            in multiples of its norm.
        count: k, 1 to d.
        seed: Of discovery.

    Returns:
        The parts, whose heatmaps sum to s up to float32 rounding.

    Raises:
        DecompositionError: No feature is positive.
    """
    images, positions, channels = features.shape
    many = 1 if count == 1 else min(CANDIDATES * count, images * positions, channels)
    found = discover(features, evidence, many, seed)
    if count == 1:
        whole = Parts(np.ones(1, np.float32), np.zeros((1, channels), np.float32))
        done = Summary(iterations=0, objective=0.0, ending=Ending.SETTLED)
        return EvidenceSplit(whole, None, found, done)
    turns = Alternation(features, evidence, row)
    heatmaps = turns.heatmaps(turns.settle(found.value.presence).parts)
    chosen = select(heatmaps, images, count)
    # No more turns: they would lead back to where k parts settle.
    split = turns.fit(peak_shares(heatmaps[:, chosen], images))
    return EvidenceSplit(
        parts=split.parts,
        regularization=split.regularization,
        discovery=replace(found, value=found.value.only(chosen)),
        summary=turns.summary(split),
    )


def discover(
    features: NDArray[np.float32], evidence: NDArray[np.float32], count: int, seed: int
) -> Solution[nmf.Factors]:
    """Factorise the features of a class, where its evidence is more than elsewhere (eq. 2).

    Args:
        features: (n, p, d) float32; negative values count as zero.
        evidence: s, (n * p,) float32.
        count: How many factors, at most n * p and d.
        seed: Of the solver.

    Returns:
        Presence (n * p, count) and prototypes (count, d) of the features, unweighted.

    Raises:
        DecompositionError: No feature is positive.
    """
    weights = discovery_weights(evidence)[:, None]
    found = nmf.factorize(_nonnegative(features) * weights, count, seed)
    factors = nmf.Factors(found.value.presence / weights, found.value.prototypes)
    return replace(found, value=factors)


def _nonnegative(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features of all positions (n * p, d), negative ones clamped to zero."""
    flat = features.reshape(-1, features.shape[2])
    clamped: NDArray[np.float32] = np.maximum(flat, 0)
    if not np.vdot(clamped, clamped) > 0:
        raise DecompositionError(
            f"expected some positive features, but all of the {flat.shape} features of this "
            f"class are zero or negative. Check the preprocessing and the feature map chosen."
        )
    return clamped


def _refine_residual(
    features: NDArray[np.float32],
    row: NDArray[np.float64],
    basis: NDArray[np.float32],
    alpha: NDArray[np.float64],
    method: Method,
    start: Start,
) -> _Refined:
    """Add to each scaled prototype its share of the residual (eq. 7)."""
    scaled = alpha[:, None] * basis
    residual = row - scaled.sum(axis=0)
    if method == "paper":
        solution = nelder_mead_split(
            features, basis, residual, first_shares(start, alpha, residual)
        )
        return _Refined(scaled + solution.value, None, solution.summary())
    shares, warnings = naive_split(alpha, residual), []
    if shares is None:
        shares = equal_split(len(alpha), residual)
        warnings.append("refinement: the scales cancel, so the residual was split evenly")
    objective = Heatmaps(features, basis).mismatch(shares)
    done = Summary(iterations=0, objective=objective, ending=Ending.SETTLED)
    return _Refined(scaled + shares, None, done, tuple(warnings))


def _complete(prototypes: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Set the last prototype to what the others leave of the row."""
    others = prototypes[:-1]
    return np.vstack([others, row - others.sum(axis=0)])


def _unsettled(step: str, summary: Summary) -> tuple[str, ...]:
    """A warning where a step did not settle: how it ended, and what that means for the user."""
    if summary.ending is Ending.SETTLED:
        return ()
    return (
        f"{step}: {summary.ending.value} after {summary.iterations} iterations, objective "
        f"{summary.objective:.6g}. {_MEANING[summary.ending]}",
    )


def _check(features: NDArray[np.float32], row: NDArray[np.float64], prototypes: int) -> None:
    """Refuse features and rows that cannot be decomposed."""
    if features.ndim != 3 or row.shape != features.shape[2:]:
        raise DecompositionError(
            f"expected features (n, p, d) and a row (d,), got {features.shape} and {row.shape}. "
            f"Move the channels last and join the axes of the grid."
        )
    images, positions, _ = features.shape
    if images < MINIMUM_IMAGES or images * positions < prototypes:
        raise DecompositionError(
            f"{prototypes} prototypes need at least {MINIMUM_IMAGES} images and as many "
            f"positions as prototypes, got {images} images of {positions} positions. Add "
            f"images of this class, or keep its head row whole."
        )
    # One pass: a square that overflows is as unusable as a value that is not finite.
    if not (np.isfinite(np.vdot(features, features)) and np.isfinite(row).all()):
        raise DecompositionError(
            "expected finite features and a finite head row, got NaN, infinity or values above "
            "1e19. Check that the model is sound on these images."
        )
