"""The nodes that both explained graphs share: pooled features, contributions, heatmaps.

Symbols: b images, c classes, t explained classes, k prototypes, d channels, h×w grid, l = h·w.

Contributions are prototypes @ pooled features, one matrix product for each image, which gives the
same bits whatever the batch; heatmaps are prototypes @ feature map. Behind a LayerNormalization
both are divided by the deviation sigma of the pooled vector (design/method.md, "Exactness").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph import dimensions
from exporter.head import Head
from exporter.surgery.nodes import NodeWriter

_SPATIAL_AXES = {"NHWC": (1, 2), "NLC": (1,), "NCL": (2,)}
_CHANNELS_FIRST = {"NHWC": (0, 3, 1, 2), "NLC": (0, 2, 1)}


@dataclass(frozen=True)
class Explanation:
    """Values of the graph that explanations are computed from.

    Attributes:
        pooled: (b, d, 1), divided by sigma if the head normalises.
        features: (b, d, l).
        sigma: (b, 1, 1), None without LayerNormalization.
        table: Prototypes (c, k * d), a row a class.
        shape: c, k, d.
        grid: h, w.
    """

    pooled: ir.Value
    features: ir.Value
    sigma: ir.Value | None
    table: ir.Value
    shape: tuple[int, int, int]
    grid: tuple[int, int]


def begin(
    write: NodeWriter,
    head: Head,
    feature: ir.Value,
    prototypes: NDArray[np.float32],
    grid: tuple[int, int],
) -> Explanation:
    """Write pooled features, feature matrix and the table of prototypes.

    Args:
        write: Writer on the graph.
        head: The head.
        feature: The value that ``head.feature`` names.
        prototypes: (c, k, d) float32.
        grid: (h, w).

    Raises:
        SurgeryError: The prototypes or the grid do not fit the head.
    """
    _require_fit(head, feature, prototypes, grid)
    count, k, channels = prototypes.shape
    positions = grid[0] * grid[1]
    if head.layout == "NCHW":
        pooled = write.node("GlobalAveragePool", [feature], "mean")
    else:
        pooled = write.mean(feature, _SPATIAL_AXES[head.layout], "mean")
        if head.layout in _CHANNELS_FIRST:
            feature = write.node(
                "Transpose", [feature], "channels_first", perm=_CHANNELS_FIRST[head.layout]
            )
    pooled = write.reshape(pooled, [0, channels, 1] if head.layout == "NCHW" else [0, -1, 1], "pooled")
    ...
