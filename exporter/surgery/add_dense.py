"""Add contributions and heatmaps of every class to a classifier, in operators of fixed shapes.

Converters for phones read no TopK, Gather or Shape as a rule: here no class is chosen, and each
prototype is a channel.

    heatmaps = Conv 1x1 (feature map, prototypes), smoothed
    contributions = Conv 1x1 (mean of the feature map, prototypes)

Symbols: b images, c classes, k prototypes, d channels, h×w grid, l = h·w. Prototype i of class j is
channel j·k + i.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import dimensions
from exporter.graph.write import NodeWriter, expose, find_value
from exporter.head import Head, Normalisation
from exporter.smoothing import NONE, Passes, matrix
from exporter.surgery.dense_chain import write_dense_chain
from exporter.surgery.explanation import batch_axis, write_flat
from exporter.surgery.room import require_fit
from exporter.surgery.tap_features import read_feature

CHOOSING_OPERATORS = frozenset(
    [
        *("TopK", "ArgMax", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"),
        *("Shape", "Size", "Expand", "Range", "NonZero", "OneHot", "Compress", "CumSum"),
        *("Loop", "If", "Scan"),
    ]
)
"""What no node is that is written here: it picks by an index, or computes a shape."""

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
    ``protohead/...``, and none is one of :data:`CHOOSING_OPERATORS`.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.
        prototypes: (c, k, d) float32; over k they sum to ``head.weight`` minus the reference.
        reference: (d,) float32, or None for no reference.
        grid: (h, w) of the feature map.
        smoothing: Passes over the heatmaps, down and across; exporter/smoothing.py.

    Returns:
        A copy with the outputs contributions (b, c * k), common (b, 1) and heatmaps
        (b, c * k, h, w), and unplaced and rounding (b, c) where there are such; weights are
        shared.

    Raises:
        SurgeryError: A step of the head takes an index, the graph is too old or was extended
            before, or the prototypes do not fit the head.
    """
    dense = model.clone()
    write = NodeWriter(dense)
    require_fit(head, dimensions(find_value(dense, head.feature)), prototypes, grid)
    count, k, channels = prototypes.shape
    layer, read = _read(write, head, prototypes, reference, grid)
    products = layer.times(read.pooled, read.table, "products")
    contributions = write.reshape(products, [-1, count * k], "contributions")
    row = np.zeros(channels, np.float32) if reference is None else reference
    product = layer.times(read.everything, layer.rows("reference", row[None]), "reference_product")
    common = write.reshape(product, [-1, 1], "common")
    heatmaps = _write_smoothing(write, read.maps, count * k, grid, smoothing)
    logits = find_value(dense, head.logits)
    rounding = _write_rounding(write, head, logits, contributions, common, (count, k))
    expose(dense, logits, rank=1 + len(head.logits_shape))
    batch, real = batch_axis(logits), ir.DataType.FLOAT
    write.output(contributions, "contributions", real, [batch, count * k])
    write.output(common, "common", real, [batch, 1])
    write.output(heatmaps, "heatmaps", real, [batch, count * k, *grid])
    for name, value in (("unplaced", read.unplaced), ("rounding", rounding)):
        if value is not None:
            write.output(value, name, real, [batch, count])
    return dense


class _Read(NamedTuple):
    """What contributions and heatmaps are read of.

    Attributes:
        table: The prototypes.
        pooled: What contributions are products with, divided by sigma if the head normalises.
        everything: The same, and what comes from no place.
        maps: (b, c * k, h, w), not smoothed.
        unplaced: (b, c), None for nothing.
    """

    table: ir.Value
    pooled: ir.Value
    everything: ir.Value
    maps: ir.Value
    unplaced: ir.Value | None


def _read(
    write: NodeWriter,
    head: Head,
    prototypes: Rows,
    reference: Rows | None,
    grid: tuple[int, int],
) -> tuple[_Pictures | _Tokens | _Located, _Read]:
    count, k, channels = prototypes.shape
    rows = prototypes.reshape(count * k, channels)
    if head.chain is not None:
        located = _Located(write, channels)
        table = located.rows("prototypes", rows)
        found = write_dense_chain(write, head, prototypes, reference, table)
        pooled = write.reshape(found.pooled, [-1, channels, 1], "pooled")
        maps = write.reshape(found.maps, [-1, count * k, *grid], "map_pictures")
        rest = found.unplaced
        unplaced = None if rest is None else write.reshape(rest, [-1, count], "unplaced")
        return located, _Read(table, pooled, found.everything, maps, unplaced)
    layer = _layer(write, head, grid, channels)
    table = layer.rows("prototypes", rows)
    pooled, maps = layer.pooled, layer.times(layer.features, table, "maps")
    if head.normalisation is not None:
        sigma = _write_number(write, layer, head.normalisation, channels)
        pooled = write.node("Div", [pooled, sigma], "pooled_over_sigma")
        maps = write.node("Div", [maps, sigma], "maps_over_sigma")
    return layer, _Read(table, pooled, pooled, layer.as_pictures(maps, count * k), None)


def require_dense(model: ir.Model, head: Head) -> None:
    """Refuse a head that takes an index or a shape to explain, before there are prototypes.

    Raises:
        SurgeryError: A step of its chain does.
    """
    if head.chain is not None:
        classes, channels = head.weight.shape
        none = np.zeros((classes, 1, channels), np.float32)
        add_dense_outputs(model, head, none, reference=None, grid=(1, head.chain.places))


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


class _Located:
    """Products with vectors of a chain, (b, 1, d): of a matrix that heatmaps are read off too."""

    def __init__(self, write: NodeWriter, size: int) -> None:
        self._write, self._size = write, size

    def rows(self, name: str, rows: Rows) -> ir.Value:
        """Store rows (m, d)."""
        return self._write.constant(name, rows)

    def times(self, value: ir.Value, rows: ir.Value, name: str) -> ir.Value:
        """The products of stored rows with the vector, (b, m)."""
        flat = self._write.reshape(value, [-1, self._size], f"{name}_row")
        return self._write.node("Gemm", [flat, rows], name, transB=1)


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
