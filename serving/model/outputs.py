"""The raw outputs of the explained graph, and what turns its logits into probabilities.

Symbols: b images, c classes, t explained classes, k prototypes, h×w grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.artifact import Manifest


@dataclass(frozen=True)
class Outputs:
    """The raw outputs of the explained graph.

    Attributes:
        source: The source model's own outputs by name.
        logits: (b, c) float32.
        contributions: (b, t, k) float32, logit units.
        common: (b, 1) float32, logit units.
        class_ids: (b, t) int64.
        heatmaps: (b, t, k, h, w) float32, logit units.
    """

    source: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    contributions: NDArray[np.float32]
    common: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    heatmaps: NDArray[np.float32]


def explained_shapes(manifest: Manifest, images: int) -> dict[str, tuple[int, ...]]:
    """The shapes that a manifest promises of the outputs of ``model.onnx``, by name.

    Args:
        manifest: What the artifact says of itself.
        images: b.
    """
    count, k = len(manifest.classes), manifest.prototypes
    top = min(manifest.top, count)
    return {
        manifest.head.logits: (images, count),
        "contributions": (images, top, k),
        "common": (images, 1),
        "class_ids": (images, top),
        "heatmaps": (images, top, k, *manifest.head.grid),
    }


def activate(logits: NDArray[np.float32], activation: str) -> NDArray[np.float64]:
    """Probabilities of logits (..., c): softmax over the last axis, or sigmoid of each."""
    values = logits.astype(np.float64)
    if activation == "sigmoid":
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values))  # the form that cannot overflow
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
