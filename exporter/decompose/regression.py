"""Part evidence regression: the head row split by where its evidence lies.

F (N, D) features of n images on p positions each, N = n * p; v (D,) head row; s = F v (N,) the
evidence of each position; E (N, k) presence. Every position is shared between the prototypes by
presence relative to its peak in the image,

    e_i = E_i / max over the image of E_i,     m_i = e_i^2 / sum_j e_j^2,     t_i = m_i * s,

and each refined prototype is the linear functional that best reproduces its part's evidence:

    p~_i = w_i v + (F'F + lambda tr(F'F)/D I)^-1 F' (t_i - w_i s),     sum_i w_i = 1,

with w_i the part's share of the positive evidence. The t_i sum to s, so the corrections sum to
zero and the p~_i to v, whatever lambda is.

lambda is the one of a small grid whose heatmaps hold best on unseen images. Both halves of the
images are fitted, and on each image two correlations of heatmaps are taken, the comparison of
the paper's eq. 6: of the half that has not seen it with the part's evidence t_i (does it point
at the part?), and with the half that has (does it point there only because it was trained to?).
The largest mean of the two wins. The plain prediction error looks at the first alone; on birds
it settles for lambda = 1 to 3, where prototypes cancel each other most.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.decompose.norm import mean_correlation
from exporter.decompose.ridge import Ridge, ridge
from exporter.decompose.solution import Solution

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LAMBDAS = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Regression:
    """Refined prototypes.

    Attributes:
        prototypes: p~, (k, D) float64; they sum to v up to float32 rounding.
        regularization: the lambda chosen.
    """

    prototypes: Doubles
    regularization: float


def discovery_weights(features: Floats, row: Doubles) -> Floats:
    """Returns how much each position should count in discovery, (N,) float32, at least 1.

    sqrt(relu(s) / mean(relu(s)) + 1): NMF reconstructs every position, and would spend
    prototypes on the background.

    Args:
        features: (N, D) float32.
        row: v, (D,) float64.
    """
    positive = np.maximum(features @ row.astype(np.float32), 0)
    mean = positive.mean()
    relative = positive / mean if mean > 0 else positive
    weights: Floats = np.sqrt(relative + 1)
    return weights


def regress(features: Floats, row: Doubles, presence: Floats) -> Solution[Regression]:
    """Splits a head row by part evidence (see the module's docstring).

    Args:
        features: (n, p, D) float32, n >= 2, of any sign.
        row: v, (D,) float64.
        presence: E, (n * p, k) float32, nonnegative.

    Returns:
        The refined prototypes; the objective is sum_i |F p~_i - t_i|^2 / sum_i |t_i|^2, and the
        answer has a closed form, so there are no iterations.
    """
    images, positions, channels = features.shape
    flat, cut = features.reshape(-1, channels), images // 2
    evidence = flat @ row.astype(np.float32)
    targets = peak_shares(presence, images) * evidence[:, None]  # t, (N, k)
    shares = positive_shares(targets)
    baseline = np.outer(evidence, shares)
    system = ridge(flat, targets - baseline, cut * positions)
    maps = (images, positions, -1)
    choice = choose_lambda(system, baseline.reshape(maps), targets.reshape(maps), cut)
    corrections = system.coefficients(choice)
    difference = flat @ corrections.T + baseline - targets
    total = float(np.vdot(targets, targets))
    return Solution(
        value=Regression(np.outer(shares, row) + corrections, choice),
        iterations=0,
        objective=float(np.vdot(difference, difference)) / total if total > 0 else 0.0,
        converged=True,
    )


def peak_shares(presence: Floats, images: int) -> Floats:
    """Shares every position between the prototypes by presence relative to its peak.

    Args:
        presence: (N, k) float32, nonnegative.
        images: n; N is a multiple of it.

    Returns:
        m, (N, k) float32, rows sum to 1; equal shares where no prototype is present.
    """
    maps = presence.reshape(images, -1, presence.shape[1])
    relative = _ratio(maps, maps.max(axis=1, keepdims=True), otherwise=0.0) ** 2
    shares = _ratio(relative, relative.sum(axis=2, keepdims=True), otherwise=1 / presence.shape[1])
    return shares.reshape(presence.shape)


def positive_shares(targets: Floats) -> Floats:
    """Returns each part's share of the positive evidence, (k,) float32; equal if there is none.

    Args:
        targets: t, (N, k) float32.
    """
    positive = np.maximum(targets, 0).sum(axis=0)
    return _ratio(positive, positive.sum(), otherwise=1 / len(positive))


def choose_lambda(system: Ridge, baseline: Floats, targets: Floats, cut: int) -> float:
    """Chooses the lambda whose heatmaps hold best on images that were not fitted.

    Args:
        system: the regression of what the targets hold beyond the baseline.
        baseline: w_i s, (n, p, k) float32, the heatmaps without any correction.
        targets: t, (n, p, k) float32.
        cut: images in the first half of the system.

    Returns:
        One of LAMBDAS; of equally good ones the largest.
    """
    best = (-np.inf, 0.0)
    for regularization in LAMBDAS:
        first, second = (
            prediction.reshape(baseline.shape) + baseline
            for prediction in system.half_predictions(regularization)
        )
        seen = np.concatenate([first[:cut], second[cut:]])
        unseen = np.concatenate([second[:cut], first[cut:]])
        quality = mean_correlation(unseen, targets) + mean_correlation(unseen, seen)
        best = max(best, (quality, regularization))
    return best[1]


def _ratio(part: Floats, whole: Floats, otherwise: float) -> Floats:
    """Returns part / whole, and the given value where the whole is zero."""
    filled = np.full_like(part, otherwise)
    return np.divide(part, whole, out=filled, where=whole > 0)
