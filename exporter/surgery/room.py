"""Whether a graph has room for what is added to it, asked before the work."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.write import NodeWriter
from exporter.head import Head
from exporter.surgery.located import has_class_rows

MOST_BYTES = 2**31 - 1
"""Of one protobuf message, which each graph of an artifact is."""


def require_room(model: ir.Model, head: Head, prototypes: int = 1) -> None:
    """Refuse a classifier that prototypes cannot be added to.

    Args:
        model: The classifier.
        head: Its head; weight (c, d).
        prototypes: k, of each class.

    Raises:
        SurgeryError: The graph is too old or was extended before, or would be too large.
    """
    NodeWriter(model)
    classes, channels = head.weight.shape
    numbers = prototypes * channels
    if head.chain is not None and has_class_rows(head.chain):
        numbers += head.chain.size
    own, table = sum(_sizes(model)), 4 * classes * numbers
    if own + table > MOST_BYTES:
        raise SurgeryError(
            f"expected at most 2 GiB in one graph, the largest ONNX file, got {own / 2**30:.2f} "
            f"GiB of weights and {table / 2**30:.2f} GiB for {classes} x {prototypes} prototypes "
            f"of {channels} channels. Ask for fewer `prototypes`, or export the model with fewer "
            "classes."
        )


def _sizes(model: ir.Model) -> Iterator[int]:
    """Bytes of every weight, wherever the graph holds it."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            yield value.const_value.nbytes if value.const_value is not None else 0
        for node in graph:
            for found in node.attributes.values():
                if found.type == ir.AttributeType.TENSOR:
                    yield found.as_tensor().nbytes
