"""Read the feature map and the logits of a classifier beside its own outputs."""

from __future__ import annotations

import onnx_ir as ir

from exporter.head import Head
from exporter.surgery.nodes import expose, find_value


def tap_features(model: ir.Model, head: Head) -> ir.Model:
    """Make the feature map and the logits outputs of the graph, under their own names.

    No node is added, and the value that feeds the pooling is one that runtimes keep when they
    fuse operations, so no bit of the predictions changes.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.

    Returns:
        A copy with ``head.feature`` and ``head.logits`` among its outputs; weights are shared.

    Raises:
        SurgeryError: The head was found in another graph.
    """
    tapped = model.clone()
    expose(tapped, find_value(tapped, head.feature), rank=len(head.layout))
    expose(tapped, find_value(tapped, head.logits), rank=1 + len(head.logits_shape))
    return tapped


def tap_logits(model: ir.Model, head: Head) -> ir.Model:
    """Make the logits an output of the graph, for a classifier that gives probabilities only.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.

    Returns:
        A copy with ``head.logits`` among its outputs; weights are shared.
    """
    tapped = model.clone()
    expose(tapped, find_value(tapped, head.logits), rank=1 + len(head.logits_shape))
    return tapped
