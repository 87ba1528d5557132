"""How much of what decides for a class has a place in the picture.

    |(v - u) . m| / (|(v - u) . m| + |unplaced|)

with v the row of the class, u the reference and m the mean over places of what each gives. What
comes from no place is what is left of the logits: e = logit - bias - v . m of every class, less
their mean where u is the mean row.

Symbols: n images, c classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.head import Head
from exporter.head.rows import HeadRows
from exporter.images.features import ClassFeatures
from serving.model.explanation import placed_share

HALF = 0.5
"""The share below which heatmaps show the smaller part of what decided."""


def placed_shares(
    features: ClassFeatures, head: Head, rows: HeadRows, classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The placed share of one class of each image.

    Args:
        features: The images.
        head: The head.
        rows: Its rows, less the reference.
        classes: Index of a class for each image, (n,).

    Returns:
        (n,), 0 to 1; 1 of every head that adds nothing from no place.
    """
    if head.chain is None or head.chain.whole:
        return np.ones(len(classes))
    each = np.arange(len(classes))
    means = features.maps.mean(axis=1, dtype=np.float64)
    unplaced = features.logits - head.bias - means @ head.weight.T
    if rows.name == "mean":
        unplaced -= unplaced.mean(axis=1, keepdims=True)
    placed = (means * rows.rows[classes]).sum(axis=1)
    return np.array(
        [
            placed_share([here], nowhere)
            for here, nowhere in zip(placed, unplaced[each, classes], strict=True)
        ]
    )
