"""Every method on one class, for one k and one seed.

Symbols: n images, p positions, d channels, k prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.decompose import decompose
from exporter.decompose.scaling import scale
from exporter.errors import DecompositionError
from exporter.evaluate.baselines.methods import OURS, Baseline, Method, baselines, ours
from exporter.evaluate.trial.subject import Subject
from exporter.head.rows import round_exactly
from exporter.smoothing import smooth_features

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

COMPARED: tuple[Baseline, ...] = ("nmf", "naive", "even")
TITLES = {
    "initial": "initial (NMF, scaled)",
    "nmf": "initial (NMF alone)",
    "naive": "naive split",
    "even": "even split, R/k",
    "paper": "the paper's refinement",
    OURS: "ours",
}
"""Names of the methods in tables."""


@dataclass(frozen=True)
class Initial:
    """Scaled prototypes of NMF, before the residual is given back (the paper's eq. 3).

    Attributes:
        scaled: alpha_i p_i, (k, d).
        ratio: |R| / |row|.
    """

    scaled: Doubles
    ratio: float


def own(subject: Subject, training: Floats, row: Doubles, k: int, seed: int) -> Method:
    """The artifact's own method, found again with another k or seed, and rounded as it is served.

    Args:
        subject: The artifact.
        training: (n, p, d), feature maps of the class's training images.
        row: (d,), the head row less the reference.
        k: Prototypes.
        seed: Seed of discovery.

    Raises:
        DecompositionError: The class cannot be decomposed.
    """
    if subject.artifact.manifest.head.mapped:
        raise DecompositionError(
            "expected a head whose rows read what parts are found on: `protohead evaluate` measures"
            " those with hidden layers."
        )
    record = subject.artifact.manifest.method
    smoothed = smooth_features(training, subject.artifact.manifest.head.grid, record.smoothing)
    split = decompose(
        smoothed,
        row,
        method=record.name,
        prototypes=k,
        seed=seed,
        start=record.start or "even",  # as versions before it was written down
    )
    return ours(round_exactly(split.prototypes, row), record.smoothing)


def others(
    row: Doubles, training: Floats, k: int, seed: int, *, with_paper: bool
) -> dict[str, Method]:
    """NMF alone and the paper's ways to split the residual, by name.

    Args:
        row: (d,), the whole head row.
        training: (n, p, d).
        k: Prototypes.
        seed: Seed of NMF.
        with_paper: Also the paper's Nelder-Mead, which takes its time.
    """
    names: Sequence[Baseline] = (*COMPARED, "paper") if with_paper else COMPARED
    return {method.name: method for method in baselines(names, row, k, seed, training)}


def prototypes_of(method: Method) -> Doubles:
    """The prototypes of a method that looks at the image, (k, d)."""
    if method.prototypes is None:
        raise ValueError(f"expected a method with prototypes, got {method.name!r}")
    return method.prototypes


def initial(basis: Doubles, row: Doubles) -> Initial:
    """Scale prototypes of NMF (k, d) to a head row (d,)."""
    scaled = scale(basis.astype(np.float32), row).value[:, None] * basis
    size = float(np.linalg.norm(row))
    left = float(np.linalg.norm(row - scaled.sum(axis=0)))
    return Initial(scaled, left / size if size > 0 else 0.0)
