"""Read the feature map and the logits of a classifier beside its own outputs."""

from __future__ import annotations

import onnx_ir as ir

from exporter.chain.rows import RowWriter
from exporter.chain.write import ChainWriter
from exporter.graph.write import NodeWriter, expose, find_value
from exporter.head import Head

FEATURES = "protohead_features"
ROW, AT_MAP = "protohead_row", "protohead_row_at_map"


def tap_features(model: ir.Model, head: Head) -> ir.Model:
    """Make the features and the logits outputs of the graph.

    Features of a map that is averaged are the map itself: no node is added, and the value that
    feeds the pooling is one that runtimes keep when they fuse operations, so no bit of the
    predictions changes. One that the graph has in 8 bits only is read in float32. Those of a chain
    are what each place gives of the vector that the linear layer reads, behind its own features of
    the chain's map. Of a chain with a map there are an input :data:`ROW` (1, 1, H) too, a row of
    what the linear layer reads, and an output :data:`AT_MAP` (b, 1, d), what it is of the map of
    each image.

    Args:
        model: The classifier; it is not changed.
        head: Its head, found in this graph.

    Returns:
        A copy with :func:`features_of` and ``head.logits`` among its outputs; weights are shared.

    Raises:
        SurgeryError: The head was found in another graph.
    """
    tapped = model.clone()
    if features_of(head) == head.feature:
        expose(tapped, find_value(tapped, head.feature), rank=len(head.layout))
    elif head.chain is None:
        write = NodeWriter(tapped)
        sizes = [None] * len(head.layout)
        write.output(read_feature(write, head), FEATURES, ir.DataType.FLOAT, sizes)
    else:
        write = NodeWriter(tapped)
        chain = ChainWriter(RowWriter(write), head.chain)
        shape = [None, head.chain.places, head.weight.shape[1]]
        write.output(chain.located(), FEATURES, ir.DataType.FLOAT, shape)
        if head.chain.map is not None:
            row = write.input(ROW, ir.DataType.FLOAT, [1, 1, head.chain.size])
            shape = [None, 1, head.chain.mapped]
            found = write.node("Identity", [chain.at_map(row)], "row_at_map")
            write.output(found, AT_MAP, ir.DataType.FLOAT, shape)
        tapped.graph.sort()
    expose(tapped, find_value(tapped, head.logits), rank=1 + len(head.logits_shape))
    return tapped


def features_of(head: Head) -> str:
    """The name of the output that holds the features of a tapped graph."""
    return head.feature if head.chain is None and head.stored is None else FEATURES


def read_feature(write: NodeWriter, head: Head) -> ir.Value:
    """The feature map in float32; a node is written where the graph has it in 8 bits only."""
    feature = find_value(write.model, head.feature)
    if head.stored is None:
        return feature
    scale = [find_value(write.model, name) for name in head.stored if name]
    return write.node("DequantizeLinear", [feature, *scale], "feature_map")


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
