"""Say why a node cannot lie between the pooling and the logits, and what would do instead."""

from __future__ import annotations

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.read import dimensions, refusal, source
from exporter.head.tail import Tail

_RECTIFIERS = {"Celu", "Clip", "Elu", "LeakyRelu", "PRelu", "Relu", "Selu", "ThresholdedRelu"}
_SMOOTH = {"Erf", "Exp", "Gelu", "Log", "Mish", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh"}
_GATES = {"HardSigmoid", "HardSwish", "Sigmoid", "Softmax"}
_POINTWISE = {"Abs", "Max", "Min", "Pow"}
_NONLINEAR = _RECTIFIERS | _SMOOTH | _GATES | _POINTWISE
_MAXIMUM = {"GlobalMaxPool", "MaxPool", "ReduceMax", "GlobalLpPool", "LpPool"}
_CONTROL_FLOW = {"If", "Loop", "Scan"}
_PICKS = {"Gather", "GatherElements", "GatherND", "Slice", "Split"}
_EXPECTED = (
    "Expected: feature map -> mean over all positions [-> LayerNormalization] -> linear "
    "[-> Softmax or Sigmoid]."
)


def why_not(node: ir.Node, tail: Tail) -> HeadError:
    """The error for an operation that keeps a head from being decomposed.

    Args:
        node: The node in the way.
        tail: What lies between it and the logits.

    Returns:
        The error: which node, why, and what could be decomposed or done.
    """
    place = "behind the linear layer" if tail.linear is None else f"before {tail.linear!r}"
    return refusal(node, f"lies {place}: {_reason(node)} {_EXPECTED}")


def _reason(node: ir.Node) -> str:
    if node.domain not in ("", "ai.onnx"):
        return (
            f"it is an operation of the domain {node.domain!r}, not of ONNX. If it is a function "
            "of the model, inline it with onnx.inliner.inline_local_functions."
        )
    if any(part in node.op_type for part in ("uantizeLinear", "QLinear", "Integer")):
        return "the head is quantised. Export the float model, and quantise it afterwards."
    if node.op_type in _PICKS:
        return _picked(node)
    return _REASONS.get(node.op_type, "it is not linear, or not known to be.")


def _picked(node: ir.Node) -> str:
    rank = len(dimensions(source(node)) or ())
    if rank != 3:
        return "it picks a part of a tensor, so the logits do not see one whole pooled vector."
    return (
        "it picks one token (a class token) of a sequence. What that token knows of the other "
        "positions went through attention, so the logits are not linear in them. A model that "
        "averages its patch tokens would do."
    )


_REASONS = {
    **dict.fromkeys(
        _NONLINEAR,
        "it is a non-linearity, so a logit is no sum over positions. A model with a single "
        "linear layer behind its pooling would do.",
    ),
    **dict.fromkeys(
        _MAXIMUM,
        "it takes a maximum or a norm over positions, which is no sum over them. A model with "
        "average pooling would do.",
    ),
    **dict.fromkeys(
        _CONTROL_FLOW,
        "it is control flow. Export the model with a fixed path (torch.export does).",
    ),
    "Concat": "it joins several branches: the logits must come from one pooled feature map.",
    "Sum": "it joins several branches: the logits must come from one pooled feature map.",
    "LogSoftmax": (
        "log-probabilities are not logits. Export the model without it; Softmax and no activation "
        "at all are both fine."
    ),
    "ArgMax": "class numbers are not logits. Export the model with its logits as output.",
    "TopK": "class numbers are not logits. Export the model with its logits as output.",
    "ReduceSum": "it sums, perhaps with weights that depend on the image (attention pooling).",
    "Einsum": "write it as MatMul or Gemm.",
}
