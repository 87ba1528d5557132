"""Add a mask over prototypes, and a choice of classes, to a classifier.

    steered logits = logits - sum over k of (1 - mask) * contributions

Symbols: b images, c classes, t explained classes, k prototypes, d channels, h×w grid.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.write import PREFIX, NodeWriter, expose, find_value
from exporter.head import Head
from exporter.smoothing import NONE, Passes
from exporter.surgery.explanation import (
    Explanation,
    batch_axis,
    write_common,
    write_contributions,
    write_explanation,
    write_flat,
    write_outputs,
    write_rounding,
    write_unplaced,
)


def add_steering(
    model: ir.Model,
    head: Head,
    prototypes: NDArray[np.float32],
    *,
    reference: NDArray[np.float32] | None,
    grid: tuple[int, int],
    smoothing: Passes = NONE,
) -> ir.Model:
    """Add the required inputs prototype_mask and classes, and outputs that obey them.

    1. The logits that leave the graph, or that its Softmax or Sigmoid reads, are the steered
       ones, under the source's own names. A mask of ones changes no bit.
    2. Contributions and heatmaps are the masked ones: with bias and common they sum to the
       steered logit.
    3. A negative entry of ``classes`` takes the next best of the classes that are not asked for,
       by steered logit; several take them in order.

    Both inputs are required: a runtime may ignore the override of an input with a default.

    Precondition: opset 11 and IR 4 or newer, kept as they are. Postcondition: every new node and
    constant is named ``protohead/...``; the source's logits are ``protohead/source_logits``.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.
        prototypes: (c, k, d) float32; over k they sum to ``head.weight`` minus the reference.
        reference: (d,) float32, or None for no reference.
        grid: (h, w) of the feature map.
        smoothing: Passes over the heatmaps, down and across; exporter/smoothing.py.

    Returns:
        A copy with the inputs prototype_mask (c, k) float32 and classes (b, t) int64, t at most
        c, and with the outputs of ``add_prototype_outputs``.

    Raises:
        SurgeryError: The graph is too old or was extended before, or the prototypes do not
            fit the head.
    """
    steerable = model.clone()
    write = NodeWriter(steerable)
    parts = write_explanation(write, head, prototypes, reference, grid, smoothing)
    batch = batch_axis(find_value(steerable, head.logits))
    mask = write.input("prototype_mask", ir.DataType.FLOAT, parts.shape[:2])
    classes = write.input("classes", ir.DataType.INT64, [batch, "explained"])
    source = find_value(steerable, head.logits)
    logits = _steer(write, parts, source, mask, head.logits_shape)
    flat = write_flat(write, logits, head.logits_shape)
    class_ids = _choose(write, parts, flat, classes)
    contributions, heatmaps = write_contributions(write, parts, class_ids)
    chosen = write.node("Gather", [mask, class_ids], "chosen_mask", axis=0)  # (b, t, k)
    contributions = write.node("Mul", [contributions, chosen], "masked_contributions")
    spread = write.reshape(chosen, [0, -1, parts.shape[1], 1, 1], "spread_mask")
    heatmaps = write.node("Mul", [heatmaps, spread], "masked_heatmaps")
    common = write_common(write, parts, reference)
    rest = {
        "unplaced": write_unplaced(write, parts, class_ids),
        "rounding": write_rounding(write, head, flat, (contributions, common), class_ids),
    }
    expose(steerable, logits, rank=1 + len(head.logits_shape))
    values = contributions, common, class_ids, heatmaps
    write_outputs(write, parts, batch, "explained", values, rest)
    steerable.graph.sort()
    return steerable


def _steer(
    write: NodeWriter,
    parts: Explanation,
    logits: ir.Value,
    mask: ir.Value,
    shape: tuple[int, ...],
) -> ir.Value:
    """Put the steered logits in the place of the source's, and return them."""
    count, k, channels = parts.shape
    rows = write.reshape(parts.table, [count * k, channels], "all_rows")
    products = write.node("MatMul", [rows, parts.pooled], "all_products")  # (b, c * k, 1)
    contributions = write.reshape(products, [0, count, k], "all_contributions")
    muted = write.node("Sub", [write.constant("one", np.ones(1, np.float32)), mask], "muted")
    removed = write.node("Mul", [contributions, muted], "removed_contributions")
    removed = write.total(removed, 2, "removed")  # (b, c)
    if len(shape) != 1:
        removed = write.reshape(removed, [-1, *shape], "removed_shaped")
    name, readers = logits.name, list(logits.uses())
    logits.name = PREFIX + "source_logits"
    steered = write.node("Sub", [logits, removed], "steered_logits")
    steered.name, steered.type, steered.shape = name, logits.type, logits.shape
    steered.doc_string = logits.doc_string
    for node, index in readers:
        node.replace_input_with(index, steered)
    outputs = write.graph.outputs
    outputs[:] = [steered if value is logits else value for value in outputs]
    return steered


def _choose(write: NodeWriter, parts: Explanation, logits: ir.Value, classes: ir.Value) -> ir.Value:
    """Class ids (b, t): the classes asked for, the next best where an entry is negative.

    Without operators that some runtimes lack (GatherElements, Loop, a TopK whose k is computed):
    rank all classes, those asked for last; the entry that is preceded by r negative ones takes
    the class of rank r, the only one left of a row whose other ranks are zero. The ids are int64
    from TopK to the output, never cast: tract reads a cast to int64 as the size of an axis.
    """
    count = parts.shape[0]
    numbers = write.constant("class_numbers", np.arange(count, dtype=np.float32))
    asked = write.cast(classes, ir.DataType.FLOAT, "asked")
    matches = _is_number(write, asked, numbers, "matches")  # (b, t, c)
    times = write.total(write.cast(matches, ir.DataType.FLOAT, "matched"), 1, "times_asked")
    zero = write.constant("zero", np.zeros(1, np.float32))
    is_asked = write.node("Greater", [times, zero], "is_asked")  # (b, c)
    last = write.constant("last", np.array([-np.inf], np.float32))
    remaining = write.node("Where", [is_asked, last, logits], "remaining")
    ranking = write.top_indices(remaining, count, "ranking")
    ranking = write.reshape(ranking, [0, 1, count], "ranking_row")
    is_open = write.node("Less", [asked, zero], "is_open")  # (b, t)
    axis = write.constant("entries", np.array(1, np.int64))
    opened = write.cast(is_open, ir.DataType.FLOAT, "opened")
    rank = write.node("CumSum", [opened, axis], "rank", exclusive=1)
    slots = _is_number(write, rank, numbers, "slots")  # (b, t, c)
    none = write.constant("no_id", np.zeros(1, np.int64))
    best = write.total(write.node("Where", [slots, ranking, none], "own_rank"), 2, "next_best")
    return write.node("Where", [is_open, best, classes], "class_ids")


def _is_number(write: NodeWriter, values: ir.Value, numbers: ir.Value, name: str) -> ir.Value:
    """(b, t) -> (b, t, c) bool, whether the value is the class number."""
    column = write.reshape(values, [0, -1, 1], f"{name}_column")
    return write.node("Equal", [column, numbers], name)
