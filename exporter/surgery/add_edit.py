"""Bake into an explained graph that some prototypes no longer count.

    edited logits = logits - sum over the muted prototypes of their contributions

Symbols: b images, c classes, k prototypes, d channels, m muted prototypes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.write import EDITS, PREFIX, NodeWriter, find_value

_TABLE = PREFIX + "prototypes"
_COLUMNS = PREFIX + "prototypes_columns"  # of a dense graph of tokens: (d, c * k)
_SOURCE_LOGITS = PREFIX + "source_logits"  # what the mask of a steerable graph takes from
_POOLED = (PREFIX + "pooled_over_sigma", PREFIX + "pooled")


def add_edit(
    model: ir.Model,
    logits: str,
    muted: Sequence[tuple[int, int]],
    *,
    shape: tuple[int, int, int],
    logits_shape: tuple[int, ...],
) -> ir.Model:
    """Mute prototypes of an explained or steerable graph for good.

    1. What reads the logits reads the edited ones, which have their name; only the muted rows are
       multiplied. The logits of a class without a muted prototype are the same bits.
    2. The muted rows of the table of prototypes are zero, so that contributions and heatmaps of a
       muted prototype are, and what is left sums to the edited logit.
    3. In a steerable graph the mask takes from the edited logits: muting more works on top.

    Precondition: written by ``add_prototype_outputs``, ``add_steering`` or ``add_dense_outputs``,
    perhaps edited before. Postcondition: new names begin with ``protohead/edit1/``, the second
    edit's with ``protohead/edit2/``; ``remove_edit`` gives back the bytes of the first two.

    Args:
        model: The graph; it is not changed.
        logits: Name of its logits.
        muted: Class and number of each prototype, at least one.
        shape: c, k, d.
        logits_shape: Shape of one image's logits, (c,) or with axes of size 1.

    Returns:
        The edited copy; weights are shared.

    Raises:
        SurgeryError: The graph holds no prototypes of this shape.
    """
    edited = model.clone()
    graph = edited.graph
    notes = json.loads(edited.metadata_props.get(EDITS, "[]"))
    prefix = f"{PREFIX}edit{len(notes) + 1}/"
    before = find_value(edited, _SOURCE_LOGITS if _has(edited, _SOURCE_LOGITS) else logits)
    producer = before.producer()
    if producer is None:
        raise SurgeryError(f"expected {before.name!r} to be computed by a node of the graph.")
    old = {node.name or "": index for index, node in enumerate(graph) if node.name}
    size = len(graph)
    write = NodeWriter(edited, prefix)
    rows = _take_rows(edited, muted, shape)
    after = _write(write, before, _pooled(write), rows, muted, logits_shape)
    _replace(edited, before, after, prefix)
    moved = _place(graph, producer, list(graph)[size:])
    note = {
        "logits": after.name,
        "muted": [list(key) for key in muted],
        "moved": {node.name: old[node.name or ""] for node in moved},
    }
    edited.metadata_props[EDITS] = json.dumps([*notes, note])
    return edited


def _take_rows(
    model: ir.Model, muted: Sequence[tuple[int, int]], shape: tuple[int, int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Zero the muted rows of the table; returns them as they were, (m, d)."""
    count, k, channels = shape
    table = model.graph.initializers.get(_TABLE) or model.graph.initializers.get(_COLUMNS)
    tensor = None if table is None else table.const_value
    forms = {(count, k * channels), (count * k, channels), (count * k, channels, 1, 1)}
    if table is not None and table.name == _COLUMNS:
        forms = {(channels, count * k)}
    if table is None or tensor is None or tuple(tensor.shape) not in forms:
        raise SurgeryError(
            f"expected a graph with {count} x {k} prototypes of {channels} channels in {_TABLE!r}, "
            "found none. Edit an artifact that protohead exported."
        )
    stored = tensor.numpy()
    turned = table.name == _COLUMNS
    rows = np.array(stored.T if turned else stored).reshape(shape)
    classes, numbers = np.array(muted, np.int64).T
    taken: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = rows[classes, numbers]
    rows[classes, numbers] = 0
    left = rows.reshape(count * k, channels).T if turned else rows.reshape(stored.shape)
    table.const_value = ir.tensor(np.ascontiguousarray(left), name=table.name)
    return taken


def _pooled(write: NodeWriter) -> ir.Value:
    """The pooled vector (b, d, 1); a dense graph has it in the axes of its feature map."""
    model = write.model
    pooled = find_value(model, next(name for name in _POOLED if _has(model, name)))
    table = model.graph.initializers.get(_TABLE)
    if table is not None and table.shape is not None and len(table.shape) == 2:
        return pooled
    return write.reshape(pooled, [0, -1, 1], "pooled")


def _write(
    write: NodeWriter,
    before: ir.Value,
    pooled: ir.Value,
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    muted: Sequence[tuple[int, int]],
    shape: tuple[int, ...],
) -> ir.Value:
    """Write the edited logits, of this shape for each image."""
    count = math.prod(shape)
    spread = np.zeros((count, len(muted)), np.float32)
    spread[[index for index, _ in muted], range(len(muted))] = 1
    stored = write.constant("rows", rows)
    products = write.node("MatMul", [stored, pooled], "contributions")  # (b, m, 1)
    spreading = write.constant("class_of_row", spread)
    column = write.node("MatMul", [spreading, products], "removed_column")  # (b, c, 1)
    removed = write.reshape(column, [0, -1] if len(shape) == 1 else [-1, *shape], "removed")
    lowered = write.node("Sub", [before, removed], "lowered")
    # Not a difference with zero for the other classes: that would lose the sign of a zero, and an
    # infinite contribution would reach them.
    touched = np.zeros((1, count), np.bool_)
    touched[0, [index for index, _ in muted]] = True
    return write.node(
        "Where", [write.constant("touched", touched.reshape(1, *shape)), lowered, before], "logits"
    )


def _replace(model: ir.Model, before: ir.Value, after: ir.Value, prefix: str) -> None:
    """Give the edited logits the name, the readers and the place of those before."""
    own = {f"{prefix}lowered", f"{prefix}logits"}
    for node, index in list(before.uses()):
        if node.name not in own:
            node.replace_input_with(index, after)
    after.type, after.shape, after.doc_string = before.type, before.shape, before.doc_string
    after.name, before.name = before.name, f"{prefix}before"
    outputs = model.graph.outputs
    outputs[:] = [after if value is before else value for value in outputs]


def _place(graph: ir.Graph, anchor: ir.Node, written: list[ir.Node]) -> list[ir.Node]:
    """Put new nodes behind the one that computes the logits, and in front what they read.

    Returns:
        The nodes that stood further behind, in their order.
    """
    late = set(list(graph)[graph.index(anchor) + 1 :])
    needed: set[ir.Node] = set()
    waiting = [value for node in written for value in node.inputs]
    while waiting:
        value = waiting.pop()
        node = None if value is None else value.producer()
        if node is not None and node in late and node not in needed and node not in written:
            needed.add(node)
            waiting.extend(node.inputs)
    moved = [node for node in graph if node in needed]
    graph.remove([*moved, *written])
    graph.insert_after(anchor, [*moved, *written])
    return moved


def _has(model: ir.Model, name: str) -> bool:
    return any(value.name == name for node in model.graph for value in node.outputs)
