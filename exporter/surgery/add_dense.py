"""Add contributions and heatmaps of every class to a classifier, in operators of fixed shapes.

Converters for phones read no TopK, Gather or Shape as a rule: here no class is chosen, and each
prototype is a channel.

    heatmaps = Conv 1x1 (feature map, prototypes), smoothed
    contributions = Conv 1x1 (mean of the feature map, prototypes)

Symbols: b images, c classes, k prototypes, d channels, h×w grid, l = h·w. Prototype i of class j is
channel j·k + i.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph.read import dimensions
from exporter.graph.write import NodeWriter, expose, find_value
from exporter.head import Head, Normalisation
from exporter.smoothing import NONE, Passes, matrix
from exporter.surgery.explanation import batch_axis, write_flat
from exporter.surgery.room import require_fit
from exporter.surgery.tap_features import read_feature

DENSE_OPERATORS = frozenset(
    [
        *("Conv", "GlobalAveragePool", "MatMul", "Add", "Sub", "Mul", "Div", "Sqrt", "Max"),
        *("Reshape", "Transpose", "ReduceSum", "DequantizeLinear"),
    ]
)
"""What nodes are written with here; none computes a shape or picks by an index."""

_LARGE = 32 * 32  # positions; 4 MB of a matrix
Rows = NDArray[np.float32]


def add_dense_outputs(
    model: ir.Model,
    head: Head,
    prototypes: Rows,
    *,
    reference: Rows | None,
    grid: tuple[int, int],
    smoothing: Passes = NONE,
) -> ir.Model:
    """Add contributions and heatmaps of all classes, and common, beside a classifier's own outputs.

    Precondition: opset 11 and IR 4 or newer, kept as they are. Postcondition: the source's outputs
    come first, with the same bits as before; every new node and constant is named
    ``protohead/...``, and every new node is one of :data:`DENSE_OPERATORS`.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.
        prototypes: (c, k, d) float32; over k they sum to ``head.weight`` minus the reference.
        reference: (d,) float32, or None for no reference.
        grid: (h, w) of the feature map.
        smoothing: Passes over the heatmaps, down and across; exporter/smoothing.py.

    Returns:
        A copy with the outputs contributions (b, c * k), common (b, 1) and heatmaps
        (b, c * k, h, w), of a quantised head rounding (b, c) too; weights are shared.

    Raises:
        SurgeryError: The head has steps between places and linear layer, the graph is too old or
            was extended before, or the prototypes do not fit the head.
    """
    require_dense(head)
    dense = model.clone()
    write = NodeWriter(dense)
    require_fit(head, dimensions(find_value(dense, head.feature)), prototypes, grid)
    count, k, channels = prototypes.shape
    layer = _layer(write, head, grid, channels)
    table = layer.rows("prototypes", prototypes.reshape(count * k, channels))
    pooled, maps = layer.pooled, layer.times(layer.features, table, "maps")
    if head.normalisation is not None:
        sigma = _write_number(write, layer, head.normalisation, channels)
        pooled = write.node("Div", [pooled, sigma], "pooled_over_sigma")
        maps = write.node("Div", [maps, sigma], "maps_over_sigma")
    products = layer.times(pooled, table, "products")
    contributions = write.reshape(products, [-1, count * k], "contributions")
    row = np.zeros(channels, np.float32) if reference is None else reference
    stored = layer.rows("reference", row.reshape(1, channels))
    product = layer.times(pooled, stored, "reference_product")
    common = write.reshape(product, [-1, 1], "common")
    maps = layer.as_pictures(maps, count * k)
    heatmaps = _write_smoothing(write, maps, count * k, grid, smoothing)
    logits = find_value(dense, head.logits)
    rounding = _write_rounding(write, head, logits, contributions, common, (count, k))
    expose(dense, logits, rank=1 + len(head.logits_shape))
    batch, real = batch_axis(logits), ir.DataType.FLOAT
    write.output(contributions, "contributions", real, [batch, count * k])
    write.output(common, "common", real, [batch, 1])
    write.output(heatmaps, "heatmaps", real, [batch, count * k, *grid])
    if rounding is not None:
        write.output(rounding, "rounding", real, [batch, count])
    return dense


def require_dense(head: Head) -> None:
    """Refuse a head whose heatmaps are computed from values of each picture.

    Raises:
        SurgeryError: Steps lie between its places and its linear layer.
    """
    if head.chain is not None:
        steps = ", ".join(dict.fromkeys(head.chain.words))
        raise SurgeryError(
            "expected a head that averages one map and reads it by a linear layer, for a dense "
            f"graph, got one that computes in between: {steps}. Such heatmaps need shapes and "
            "indices that are computed; use model.onnx."
        )


class _Pictures:
    """Products with the channels of a map (b, d, h, w): convolutions of 1 x 1.

    Attributes:
        features: The map.
        pooled: Its mean, (b, d, 1, 1).
    """

    def __init__(
        self, write: NodeWriter, head: Head, feature: ir.Value, positions: int, channels: int
    ) -> None:
        self._write = write
        self.features = averaged = feature
        if head.roundings:  # else, as in explanation.py, the source would leave its 8 bits
            averaged = write.reshape(feature, [-1, channels, positions, 1], "features")
        self.pooled = write.node("GlobalAveragePool", [averaged], "pooled")

    def rows(self, name: str, rows: Rows) -> ir.Value:
        """Store rows (m, d)."""
        return self._write.constant(name, rows.reshape(*rows.shape, 1, 1))

    def times(self, value: ir.Value, rows: ir.Value, name: str) -> ir.Value:
        """The products of stored rows with each place."""
        return self._write.node("Conv", [value, rows], name, kernel_shape=(1, 1))

    def as_pictures(self, maps: ir.Value, _count: int) -> ir.Value:
        """Maps (b, m, h, w)."""
        return maps


class _Tokens:
    """Products with the channels of tokens (b, l, d), or of a map (b, h, w, d): matrix products.

    The channels stay last: a Transpose of the features would be merged with one of the source's.

    Attributes:
        features: The tokens.
        pooled: Their mean, (b, 1, d).
    """

    def __init__(
        self, write: NodeWriter, feature: ir.Value, grid: tuple[int, int], channels: int
    ) -> None:
        self._write, self._grid = write, grid
        positions = grid[0] * grid[1]
        self.features = write.reshape(feature, [-1, positions, channels], "features")
        mean = np.full((1, positions), 1 / positions, np.float32)
        weights = write.constant("pooled.weights", mean)
        self.pooled = write.node("MatMul", [weights, self.features], "pooled")

    def rows(self, name: str, rows: Rows) -> ir.Value:
        """Store rows (m, d), as columns."""
        return self._write.constant(f"{name}_columns", np.ascontiguousarray(rows.T))

    def times(self, value: ir.Value, rows: ir.Value, name: str) -> ir.Value:
        """The products of stored rows with each place."""
        return self._write.node("MatMul", [value, rows], name)

    def as_pictures(self, maps: ir.Value, count: int) -> ir.Value:
        """Maps (b, l, m) as (b, m, h, w)."""
        maps = self._write.node("Transpose", [maps], "maps_by_prototype", perm=(0, 2, 1))
        return self._write.reshape(maps, [-1, count, *self._grid], "map_pictures")


def _layer(
    write: NodeWriter, head: Head, grid: tuple[int, int], channels: int
) -> _Pictures | _Tokens:
    feature = read_feature(write, head)
    if head.layout == "NCHW":
        return _Pictures(write, head, feature, grid[0] * grid[1], channels)
    return _Tokens(write, feature, grid, channels)


def _write_number(
    write: NodeWriter, layer: _Pictures | _Tokens, normalisation: Normalisation, channels: int
) -> ir.Value:
    """Write max(sqrt(q + epsilon), floor) + offset of the pooled vector, one number an image."""

    def number(name: str) -> ir.Value:
        return write.constant(name, np.array([getattr(normalisation, name)], np.float32))

    mean = np.full((1, channels), 1 / channels, np.float32)
    centred = layer.pooled
    if normalisation.centred:
        average = layer.times(centred, layer.rows("pooled_mean.weights", mean), "pooled_mean")
        centred = write.node("Sub", [centred, average], "centred")
    square = write.node("Mul", [centred, centred], "square")
    weights = mean if normalisation.reduction == "mean" else np.ones_like(mean)
    variance = layer.times(square, layer.rows("variance.weights", weights), "variance")
    sigma = write.node("Add", [variance, number("epsilon")], "shifted")
    sigma = write.node("Sqrt", [sigma], "sigma")
    if normalisation.floor:
        sigma = write.node("Max", [sigma, number("floor")], "sigma_floored")
    if normalisation.offset:
        sigma = write.node("Add", [sigma, number("offset")], "sigma_shifted")
    return sigma


def _write_smoothing(
    write: NodeWriter, maps: ir.Value, count: int, grid: tuple[int, int], smoothing: Passes
) -> ir.Value:
    """Smooth maps (b, m, h, w): one product with a matrix (l, l), S_h^a and S_w^b together.

    Two products, of rows and of columns, cost less on large grids alone: onnx2tf turns axes of
    theirs. Its matrix is kept small.
    """
    if smoothing == NONE:
        return maps
    (h, w), (down, across) = grid, smoothing
    left, right = matrix(h, down), matrix(w, across)
    if h * w > _LARGE:
        maps = write.node("MatMul", [write.constant("smoothing.down", left), maps], "smoothed_down")
        return write.node("MatMul", [maps, write.constant("smoothing.across", right)], "smoothed")
    both = write.constant("smoothing", np.kron(left, right))
    flat = write.reshape(maps, [-1, count, h * w], "sharp_maps")
    flat = write.node("MatMul", [flat, both], "smoothed_maps")
    return write.reshape(flat, [-1, count, h, w], "smoothed")


def _write_rounding(
    write: NodeWriter,
    head: Head,
    logits: ir.Value,
    contributions: ir.Value,
    common: ir.Value,
    shape: tuple[int, int],
) -> ir.Value | None:
    """Write what a quantised head adds by rounding, (b, c) in logit units; None for nothing."""
    if not head.roundings:
        return None
    by_class = write.reshape(contributions, [-1, *shape], "contributions_by_class")
    bias = write.constant("bias", head.bias.astype(np.float32).reshape(1, -1))
    total = write.node("Add", [write.total(by_class, 2, "contributed"), common], "unrounded_less")
    total = write.node("Add", [total, bias], "unrounded")
    flat = write_flat(write, logits, head.logits_shape)
    return write.node("Sub", [flat, total], "rounding")
