"""The nodes that both explained graphs share: pooled features, contributions, heatmaps.

Symbols: b images, c classes, t explained classes, k prototypes, d channels, h×w grid, l = h·w.

Contributions are prototypes @ pooled features, one matrix product for each image, which gives the
same bits whatever the batch; heatmaps are prototypes @ feature map, smoothed. Where
the head normalises, both are divided by sigma, one number of the pooled vector (docs/method.md,
"Exactness"). Where a chain of steps lies between map and linear layer, the pooled features are the
mean of what each place gives, and heatmaps are prototypes pulled back to the places
(docs/heads.md, located.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph.read import dimensions
from exporter.graph.write import NodeWriter, find_value
from exporter.head import Head, Normalisation
from exporter.smoothing import NONE, Passes, matrix
from exporter.surgery.located import Maps, Rows, write_located
from exporter.surgery.room import require_fit
from exporter.surgery.tap_features import read_feature


@dataclass(frozen=True)
class Explanation:
    """Values of the graph that explanations are computed from.

    Attributes:
        pooled: (b, d, 1), divided by sigma if the head normalises.
        everything: The same, and what comes from no place.
        maps: Writes the heatmaps (b, t * k, l) of prototypes (b, t * k, d) of the classes (b, t).
        unplaced: What of the vector that the linear layer reads comes from no place (b, H, 1), and
            what writes the rows (b, t, H) of classes (b, t); None where that is nothing.
        table: Prototypes (c, k * d), a row a class.
        shape: c, k, d.
        grid: h, w.
        smoothing: Passes over the heatmaps, down and across.
    """

    pooled: ir.Value
    everything: ir.Value
    maps: Maps
    unplaced: tuple[ir.Value, Rows] | None
    table: ir.Value
    shape: tuple[int, int, int]
    grid: tuple[int, int]
    smoothing: Passes


def write_explanation(
    write: NodeWriter,
    head: Head,
    prototypes: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
    grid: tuple[int, int],
    smoothing: Passes,
) -> Explanation:
    """Write the pooled features, the feature matrix and the table of prototypes.

    Args:
        write: Writer on the graph.
        head: The head.
        prototypes: (c, k, d).
        reference: (d,), None for none.
        grid: (h, w).
        smoothing: Passes over the heatmaps, down and across.

    Raises:
        SurgeryError: The prototypes or the grid do not fit the head.
    """
    require_fit(head, dimensions(find_value(write.model, head.feature)), prototypes, grid)
    count, k, channels = prototypes.shape
    table = write.constant("prototypes", prototypes.reshape(count, k * channels))
    found = (
        _pooled(write, head, grid)
        if head.chain is None
        else write_located(write, head.chain, head.weight, prototypes, reference)
    )
    return Explanation(*found, table, (count, k, channels), grid, smoothing)


def _pooled(
    write: NodeWriter, head: Head, grid: tuple[int, int]
) -> tuple[ir.Value, ir.Value, Maps, None]:
    """The mean of a feature map (b, d, 1), and how heatmaps are read off the map."""
    feature = read_feature(write, head)
    channels, positions = head.weight.shape[1], grid[0] * grid[1]
    channels_first = head.layout == "NCHW"
    if channels_first:
        features = write.reshape(feature, [0, channels, positions], "features")
        # Not of the map itself where the source rounds its mean: a runtime would take both for one
        # node, and no longer compute the source's in 8 bits.
        averaged = features if head.roundings else feature
        pooled = write.node("GlobalAveragePool", [averaged], "mean")
    else:
        features = write.reshape(feature, [0, positions, channels], "features")
        pooled = _write_mean(write, features, positions, "mean")
    pooled = write.reshape(pooled, [0, channels, 1], "pooled")
    sigma = None
    if head.normalisation is not None:
        sigma = _write_number(write, pooled, channels, head.normalisation)
        pooled = write.node("Div", [pooled, sigma], "pooled_over_sigma")

    def maps(rows: ir.Value, _classes: ir.Value) -> ir.Value:
        found = _write_maps(write, features, rows, channels_first=channels_first)
        return found if sigma is None else write.node("Div", [found, sigma], "maps_over_sigma")

    return pooled, pooled, maps, None


def write_contributions(
    write: NodeWriter, parts: Explanation, class_ids: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Write the contributions and the heatmaps of the classes asked for.

    Only the prototypes of these classes are read.

    Args:
        write: Writer on the graph.
        parts: What was written before.
        class_ids: (b, t) int64.

    Returns:
        contributions (b, t, k) and heatmaps (b, t, k, h, w), logit units.
    """
    _, k, channels = parts.shape
    chosen = write.node("Gather", [parts.table, class_ids], "chosen", axis=0)
    rows = write.reshape(chosen, [0, -1, channels], "chosen_rows")  # (b, t * k, d)
    products = write.node("MatMul", [rows, parts.pooled], "products")
    contributions = write.reshape(products, [0, -1, k], "contributions")
    maps = _write_smoothing(write, parts, parts.maps(rows, class_ids))
    return contributions, write.reshape(maps, [0, -1, k, *parts.grid], "heatmaps")


def write_common(
    write: NodeWriter, parts: Explanation, reference: NDArray[np.float32] | None
) -> ir.Value:
    """Write the share of the logits that is the same for every class, (b, 1), logit units."""
    channels = parts.shape[2]
    row = np.zeros(channels, np.float32) if reference is None else reference
    if row.shape != (channels,) or row.dtype != np.float32:
        raise SurgeryError(
            f"expected a reference of shape ({channels},) and float32, got {row.shape} and "
            f"{row.dtype}."
        )
    stored = write.constant("reference", row[None])
    product = write.node("MatMul", [stored, parts.everything], "reference_product")  # (b, 1, 1)
    return write.reshape(product, [0, 1], "common")


def write_unplaced(write: NodeWriter, parts: Explanation, class_ids: ir.Value) -> ir.Value | None:
    """Write what each explained class has from no place, (b, t) in logit units; None for nothing.

    Args:
        write: Writer on the graph.
        parts: What was written before.
        class_ids: (b, t) int64.
    """
    if parts.unplaced is None:
        return None
    vector, of_classes = parts.unplaced
    product = write.node("MatMul", [of_classes(class_ids), vector], "unplaced_products")
    return write.reshape(product, [0, -1], "unplaced")


def write_rounding(
    write: NodeWriter,
    head: Head,
    logits: ir.Value,
    summands: tuple[ir.Value, ir.Value],
    class_ids: ir.Value,
) -> ir.Value | None:
    """Write what a quantised head adds by rounding, (b, t) in logit units; None for nothing.

        rounding = logit - (sum of contributions + common + bias)

    Args:
        write: Writer on the graph.
        head: The head.
        logits: (b, c).
        summands: contributions (b, t, k) and common (b, 1).
        class_ids: (b, t) int64.
    """
    if not head.roundings:
        return None
    count = len(head.weight)
    numbers = write.constant("all_classes", np.arange(count, dtype=np.int64))
    column = write.reshape(class_ids, [0, -1, 1], "class_id_column")
    picked = write.cast(
        write.node("Equal", [column, numbers], "is_class"), ir.DataType.FLOAT, "class_rows_picked"
    )
    own = write.node(
        "MatMul", [picked, write.reshape(logits, [0, count, 1], "logits_column")], "own"
    )
    bias = write.constant("bias", head.bias.astype(np.float32))
    biases = write.node("Gather", [bias, class_ids], "biases", axis=0)
    contributions, common = summands
    total = write.total(contributions, 2, "contributed")
    total = write.node(
        "Add", [write.node("Add", [total, common], "unrounded_less_bias"), biases], "unrounded"
    )
    return write.node("Sub", [write.reshape(own, [0, -1], "own_logits"), total], "rounding")


def write_flat(write: NodeWriter, logits: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    """Write the logits as (b, c) where they have other axes; ``shape`` is that of one image's."""
    if len(shape) == 1:
        return logits
    return write.reshape(logits, [-1, math.prod(shape)], "flat_logits")


def write_outputs(
    write: NodeWriter,
    parts: Explanation,
    batch: int | str | None,
    top: int | str,
    values: tuple[ir.Value, ir.Value, ir.Value, ir.Value],
    rest: Mapping[str, ir.Value | None],
) -> None:
    """Make the explanation outputs of the graph.

    Args:
        write: Writer on the graph.
        parts: What was written before.
        batch: The batch axis as the source names it.
        top: The axis of the explained classes, a number or a name.
        values: contributions, common, class_ids and heatmaps.
        rest: What else a logit is the sum of, by the name of the output; None where it is nothing.
    """
    k = parts.shape[1]
    contributions, common, class_ids, heatmaps = values
    write.output(contributions, "contributions", ir.DataType.FLOAT, [batch, top, k])
    write.output(common, "common", ir.DataType.FLOAT, [batch, 1])
    write.output(class_ids, "class_ids", ir.DataType.INT64, [batch, top])
    write.output(heatmaps, "heatmaps", ir.DataType.FLOAT, [batch, top, k, *parts.grid])
    for name, value in rest.items():
        if value is not None:
            write.output(value, name, ir.DataType.FLOAT, [batch, top])


def batch_axis(value: ir.Value) -> int | str | None:
    """The first axis of a value as its graph declares it: a size, a name, or neither."""
    if not value.shape:
        return None
    size = value.shape[0]
    return size if isinstance(size, int) else size.value


def _write_maps(
    write: NodeWriter, features: ir.Value, rows: ir.Value, *, channels_first: bool
) -> ir.Value:
    """Write prototypes @ features, (b, t * k, l).

    Channels last, the small factors are transposed and never the features: a runtime would merge
    that node with one of the source's, and no longer optimise the source as it did before.
    """
    if channels_first:
        return write.node("MatMul", [rows, features], "maps")
    columns = write.node("Transpose", [rows], "chosen_columns", perm=(0, 2, 1))
    maps = write.node("MatMul", [features, columns], "maps_by_position")
    return write.node("Transpose", [maps], "maps", perm=(0, 2, 1))


def _write_smoothing(write: NodeWriter, parts: Explanation, maps: ir.Value) -> ir.Value:
    """Smooth maps (b, t * k, l), two products with small matrices: (b, t * k, h, w)."""
    if parts.smoothing == NONE:
        return maps
    (h, w), (down, across) = parts.grid, parts.smoothing
    maps = write.reshape(maps, [0, -1, h, w], "sharp_heatmaps")
    left = write.constant("smoothing.down", matrix(h, down))
    right = write.constant("smoothing.across", matrix(w, across))
    maps = write.node("MatMul", [left, maps], "smoothed_down")
    return write.node("MatMul", [maps, right], "smoothed_heatmaps")


def _write_mean(write: NodeWriter, rows: ir.Value, count: int, name: str) -> ir.Value:
    """Write the mean over axis 1 of (b, count, m), (b, 1, m)."""
    return _write_weighted(write, rows, count, 1 / count, name)


def _write_weighted(
    write: NodeWriter, rows: ir.Value, count: int, weight: float, name: str
) -> ir.Value:
    """Write the sum over axis 1 of (b, count, m), times a weight, (b, 1, m).

    A matrix product for each image: a ReduceMean may add up in another order for another batch.
    """
    weights = write.constant(f"{name}.weights", np.full((1, count), weight, np.float32))
    return write.node("MatMul", [weights, rows], name)


def _write_number(
    write: NodeWriter, pooled: ir.Value, channels: int, normalisation: Normalisation
) -> ir.Value:
    """Write the number that the pooled vector (b, d, 1) is divided by, (b, 1, 1)."""
    if normalisation.centred:
        mean = _write_mean(write, pooled, channels, "pooled_mean")
        pooled = write.node("Sub", [pooled, mean], "centred")
    square = write.node("Mul", [pooled, pooled], "square")
    weight = 1 / channels if normalisation.reduction == "mean" else 1.0
    variance = _write_weighted(write, square, channels, weight, "variance")
    shifted = write.node("Add", [variance, _number(write, "epsilon", normalisation)], "shifted")
    sigma = write.node("Sqrt", [shifted], "sigma")
    if normalisation.floor:
        sigma = write.node("Max", [sigma, _number(write, "floor", normalisation)], "sigma_floored")
    if normalisation.offset:
        sigma = write.node("Add", [sigma, _number(write, "offset", normalisation)], "sigma_shifted")
    return sigma


def _number(write: NodeWriter, name: str, normalisation: Normalisation) -> ir.Value:
    """Store one of the constants of a normalisation."""
    return write.constant(name, np.array(getattr(normalisation, name), np.float32))
