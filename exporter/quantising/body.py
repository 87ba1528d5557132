"""What of a classifier may be written in fewer bits: all that feeds its head, and nothing of it."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from exporter.errors import SourceError
from exporter.graph.write import find_value
from exporter.head import Head

LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_IN_8_BITS = ("uantizeLinear", "QLinear", "Integer", "QGemm")


def body_of(model: ir.Model, head: Head) -> list[ir.Node]:
    """The nodes that compute the feature map of an image.

    Everything that reads the feature map, or the places of a chain (docs/heads.md), is the head's:
    in fewer bits its terms would not add up to the logit.

    Args:
        model: The classifier.
        head: Its head, found in this graph.

    Returns:
        The nodes in the order of the graph.

    Raises:
        SourceError: There is no layer in front of the head, or it is in 8 bits already.
    """
    if head.chain is not None and head.chain.map is None:
        raise SourceError(
            "nothing to quantise: attention feeds the head in every block, so nearly all of this "
            "classifier is its head, which has to stay in float32 (docs/heads.md). Serve the "
            "artifact as it is."
        )
    own = _below([find_value(model, head.feature)])
    above = _above(own)
    fed = _below(value for value in model.graph.inputs if not value.is_initializer())
    body = [node for node in model.graph if node in above & fed]
    quantised = [node for node in body if any(part in node.op_type for part in _IN_8_BITS)]
    if quantised:
        raise SourceError(
            f"{quantised[0].op_type} ({quantised[0].name!r}): the classifier is quantised already. "
            "Quantise the artifact of its float model."
        )
    if not any(node.op_type in LAYERS for node in body):
        raise SourceError(
            f"nothing to quantise: expected layers in front of the head, found none in front of "
            f"{head.feature!r}, which it reads. Serve the artifact as it is."
        )
    return body


def _below(values: Iterable[ir.Value]) -> set[ir.Node]:
    """Every node that what is computed from some values goes through."""
    found: set[ir.Node] = set()
    waiting = [use.node for value in values for use in value.uses()]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [use.node for value in node.outputs for use in value.uses()]
    return found


def _above(nodes: set[ir.Node]) -> set[ir.Node]:
    """Every other node that some nodes read from, at any distance."""
    found: set[ir.Node] = set()
    waiting = list(nodes)
    while waiting:
        for value in waiting.pop().inputs:
            maker = None if value is None else value.producer()
            if maker is not None and maker not in found and maker not in nodes:
                found.add(maker)
                waiting.append(maker)
    return found
