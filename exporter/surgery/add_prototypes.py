"""Add the prototype outputs to a classifier (docs/format.md, "model.onnx")."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph.write import NodeWriter, expose, find_value
from exporter.head import Head
from exporter.smoothing import NONE, Passes
from exporter.surgery.explanation import (
    batch_axis,
    write_common,
    write_contributions,
    write_explanation,
    write_flat,
    write_outputs,
    write_rounding,
    write_unplaced,
)


def add_prototype_outputs(
    model: ir.Model,
    head: Head,
    prototypes: NDArray[np.float32],
    *,
    reference: NDArray[np.float32] | None,
    top: int,
    grid: tuple[int, int],
    smoothing: Passes = NONE,
) -> ir.Model:
    """Add contributions, common, class_ids and heatmaps beside a classifier's own outputs.

    1. The classifier's own nodes and outputs stay as they are; new nodes read the value that
       feeds its pooling, and its logits.
    2. The ``top`` classes with the largest logits are explained, and only their prototypes read.
    3. A classifier that gives probabilities alone gets its logits as an output too.

    Precondition: opset 11 and IR 4 or newer. Both are kept as they are, because converting may
    change kernels, and with them bits. Postcondition: the source's outputs come first, with the
    same bits as before; every new node and constant is named ``protohead/...``.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.
        prototypes: (c, k, d) float32; over k they sum to ``head.weight`` minus the reference.
        reference: (d,) float32, or None for no reference.
        top: Classes to explain, at least 1; no more than c are.
        grid: (h, w) of the feature map.
        smoothing: Passes over the heatmaps, down and across; exporter/smoothing.py.

    Returns:
        A copy with the outputs contributions (b, t, k), common (b, 1), class_ids (b, t) and
        heatmaps (b, t, k, h, w); weights are shared.

    Raises:
        SurgeryError: The graph is too old or was extended before, or the prototypes do not
            fit the head.
    """
    if top < 1:
        raise SurgeryError(f"expected at least 1 class to explain, got top={top}.")
    explained = model.clone()
    write = NodeWriter(explained)
    parts = write_explanation(write, head, prototypes, reference, grid, smoothing)
    logits = find_value(explained, head.logits)
    count = min(top, len(prototypes))
    flat = write_flat(write, logits, head.logits_shape)
    class_ids = write.top_indices(flat, count, "class_ids")
    contributions, heatmaps = write_contributions(write, parts, class_ids)
    common = write_common(write, parts, reference)
    rest = {
        "unplaced": write_unplaced(write, parts, class_ids),
        "rounding": write_rounding(write, head, flat, (contributions, common), class_ids),
    }
    expose(explained, logits, rank=1 + len(head.logits_shape))
    write_outputs(
        write,
        parts,
        batch_axis(logits),
        count,
        (contributions, common, class_ids, heatmaps),
        rest,
    )
    return explained
