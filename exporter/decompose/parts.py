"""The parts of a class: to each a share of its evidence, and a correction read off the features.

    heatmap_i = w_i s + c_i . x,      sum_i w_i = 1,   sum_i c_i = 0                            (a)

with s the evidence of a position in logit units and x its features. The heatmaps sum to s whatever
s is made of. Behind the mean over a feature map, s = v . x, a part is one vector,

    p~_i = w_i v + c_i,               sum_i p~_i = v.

Symbols: n images, p = h * w positions of an image, d channels, k parts; F (n * p, d) features,
s (n * p,) evidence, v (d,) row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Parts:
    """What the evidence of a class is split by.

    Attributes:
        weights: w, (k,) float32; they sum to 1 up to rounding.
        corrections: c, (k, d) float32; they sum to 0 up to rounding.
    """

    weights: NDArray[np.float32]
    corrections: NDArray[np.float32]

    def heatmaps(
        self, features: NDArray[np.float32], evidence: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The heatmaps (n * p, k) float32, logit units, of F (n * p, d) and s (n * p,)."""
        found: NDArray[np.float32] = features @ self.corrections.T
        found += np.outer(evidence, self.weights)
        return found

    def prototypes(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """The vectors p~ (k, d) float64 of parts whose evidence is F v, for the row v (d,).

        Where F has more columns than the corrections, they are of the first.
        """
        found = np.outer(self.weights, row)
        found[:, : self.corrections.shape[1]] += self.corrections
        return found
