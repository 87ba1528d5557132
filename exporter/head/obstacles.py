"""Say why a node cannot lie between the pooling and the logits, and what would do instead."""

from __future__ import annotations

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.read import attribute, dimensions, operand, refusal, source
from exporter.head.tail import Tail

_RECTIFIERS = {"Celu", "Clip", "Elu", "LeakyRelu", "PRelu", "Relu", "Selu", "ThresholdedRelu"}
_SMOOTH = {"Erf", "Exp", "Gelu", "Log", "Mish", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh"}
_GATES = {"HardSigmoid", "HardSwish", "Sigmoid", "Softmax"}
_POINTWISE = {"Abs", "Max", "Min", "Pow"}
_ACTIVATIONS = {"Sigmoid", "Softmax"}
_NONLINEAR = _RECTIFIERS | _SMOOTH | _GATES | _POINTWISE
_MAXIMUM = {"GlobalMaxPool", "MaxPool", "ReduceMax", "GlobalLpPool", "LpPool"}
_NORMALISING = {"MeanVarianceNormalization", "ReduceL1", "ReduceL2"}
_CONTROL_FLOW = {"If", "Loop", "Scan"}
_PICKS = {"Gather", "GatherElements", "GatherND", "Slice", "Split"}
_DECIDING = {
    "ArgMax",
    "ArgMin",
    "TopK",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Round",
}
_CARRYING = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Not"}
_NORMS = {"GlobalLpPool", "LpNormalization", "ReduceL1", "ReduceL2", "ReduceSumSquare", "Sqrt"}
_MOVING = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_NEAR = 6  # operations above a value that are looked at
_BETWEEN = _CARRYING | {"Add", "Clip", "Div", "Expand", "Max", "Mul", "Pow", "Sub", "Transpose"}
_NORM = (
    "features are divided by a number of the image that is no deviation, L2 norm or root mean "
    "square of the whole pooled vector. A model that divides by one of these, or by none, would "
    "do."
)
_DECIDED = "class numbers are not logits. Export the model with its logits as output."
_COMPUTED = {  # what a value is that should be a constant; the first counts
    "quantised": "The head is quantised.",
    "norm": _NORM[0].upper() + _NORM[1:],
    "attention": (
        "Weights that depend on the image (attention pooling) are not linear in one feature map. A "
        "model that averages over all positions would do."
    ),
    "gate": (
        "A gate that depends on the image is not linear in one feature map. A model without a gate "
        "behind its pooling would do."
    ),
}
_JOINED = (
    "Joined branches and weights that are fed at run time are not linear in one feature map. A "
    "model with one pooled feature map and stored weights would do."
)
_EXPECTED = (
    "Expected: feature map -> mean over all positions [-> normalisation] -> linear "
    "[-> Softmax or Sigmoid]."
)
_LINEAR = {"Conv", "Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"}
_POOLING = {
    "AveragePool",
    "GlobalAveragePool",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
    "QLinearReduceMean",
    "ReduceMean",
    "ReduceSum",
}


def why_not(node: ir.Node, tail: Tail) -> HeadError:
    """The error for an operation that keeps a head from being decomposed.

    Args:
        node: The node in the way.
        tail: What lies between it and the logits.

    Returns:
        The error: which node, why, and what could be decomposed or done.
    """
    place = "behind the linear layer" if tail.linear is None else f"before {tail.linear!r}"
    if tail.roundings and tail.linear is None and node.op_type in _ACTIVATIONS:
        return refusal(
            node,
            "gives probabilities that are rounded to 8 bits: expected logits, or a Softmax or "
            "Sigmoid in float32. Quantise the model without it, by "
            f"nodes_to_exclude={[(node.name or '').removesuffix('_quant')]} of quantize_static.",
        )
    if _is_quantised(node) or tail.roundings:
        return why_quantised(node, f"lies {place}: the head is quantised.")
    return refusal(node, f"lies {place}: {_reason(node)} {_EXPECTED}")


def why_combined(node: ir.Node, *values: ir.Value) -> HeadError:
    """The error for a node that combines two values of which none is a constant.

    What they are is read off the operations right above them, so that the advice fits.

    Args:
        node: The node, a product, a sum or a quotient.
        values: What it combines.
    """
    names = " and ".join(repr(value.name) for value in values)
    reason = f"combines {names}: expected one of them to be a constant of the graph."
    kinds = [_kind_above(value) for value in values]
    kind = next((kind for kind in _COMPUTED if kind in kinds), None)
    if kind == "quantised":
        return why_quantised(node, f"{reason} {_COMPUTED[kind]}")
    return refusal(node, f"{reason} {_JOINED if kind is None else _COMPUTED[kind]}")


def require_float_product(node: ir.Node) -> None:
    """Refuse a product with a dequantised weight that onnxruntime computes in 8 bits.

    It fuses DequantizeLinear and a product into one that rounds the features to 8 bits too, by
    its own choice. It leaves a Gemm with transB alone, and features that are in 8 bits already.

    Raises:
        HeadError: It is such a product.
    """
    if (features := source(node).producer()) and features.op_type == "DequantizeLinear":
        return
    value, moved = source(node, 1), False
    while (above := value.producer()) is not None and above.op_type in _MOVING:
        moved = moved or above.op_type != "Identity"
        value = source(above)
    exact = not moved and node.op_type == "Gemm" and attribute(node, "transB", 0)
    if above is not None and above.op_type == "DequantizeLinear" and not exact:
        raise why_quantised(
            node,
            f"multiplies by {value.name!r}, which is dequantised: onnxruntime computes that in 8 "
            "bits, so a logit is no sum over positions.",
        )


def require_kept_when_read(feature: ir.Value) -> None:
    """Refuse a feature map that onnxruntime computes otherwise where it is read as well.

    On x86 it makes the signed 8 bits of a QuantizeLinear and its DequantizeLinear unsigned, to fuse
    the layer in front of them, but only where one node reads what they compute.

    Raises:
        HeadError: It is such a map.
    """
    node = feature.producer()
    if node is None or node.op_type != "DequantizeLinear":
        return
    above = source(node).producer()
    if above is not None and above.op_type == "QuantizeLinear" and _is_signed(above):
        raise refusal(
            node,
            f"computes the feature map {feature.name!r} from signed 8 bits: onnxruntime computes "
            "that otherwise where it is explained, and the logits would change. Quantise with "
            "activation_type=QuantType.QUInt8, or quant_format=QuantFormat.QOperator.",
        )


def _is_signed(node: ir.Node) -> bool:
    """Whether a QuantizeLinear rounds to signed numbers."""
    zero = operand(node, 2)
    kind = attribute(node, "output_dtype", 0) if zero is None else zero.dtype
    return kind == ir.DataType.INT8


def why_no_number(value: ir.Value) -> HeadError | None:
    """The error for an output of class numbers or of decisions; None for any other."""
    node = value.producer()
    while node is not None and node.op_type in _CARRYING:
        node = source(node).producer()
    if node is None or node.op_type not in _DECIDING:
        return None
    return refusal(node, f"computes the output {value.name!r}: {_DECIDED}")


def _kind_above(value: ir.Value) -> str | None:
    """The first operation that tells what a value is, a few steps up."""
    level = [value]
    for _ in range(_NEAR):
        nodes = [node for node in (value.producer() for value in level) if node is not None]
        for node in nodes:
            if _is_quantised(node):
                return "quantised"
            if node.op_type in _NORMS:
                return "norm"
            if node.op_type in _GATES:
                return "attention" if node.op_type == "Softmax" else "gate"
        level = [
            read
            for node in nodes
            if node.op_type in _BETWEEN
            for read in node.inputs
            if read is not None
        ]
    return None


def _is_quantised(node: ir.Node) -> bool:
    return any(part in node.op_type for part in ("uantizeLinear", "QLinear", "Integer", "QGemm"))


def why_quantised(node: ir.Node, reason: str) -> HeadError:
    """The error for a node of a quantised head, with the nodes that have to stay in float32.

    Args:
        node: The node.
        reason: What it does, a sentence.
    """
    head = _head_around(node)
    layers = [each for each in head if each.op_type == "MatMulInteger"]
    tool = "quantize_dynamic" if layers else "quantize_static"
    own = layers or [each for each in head if not each.op_type.endswith("uantizeLinear")]
    names = [(each.name or "").removesuffix("_quant") for each in own]  # before they were renamed
    where = f": nodes_to_exclude={names} of {tool}" if all(names) else ""
    return refusal(node, f"{reason} Export the float model, or quantise all but its head{where}.")


def _head_around(node: ir.Node) -> list[ir.Node]:
    """The nodes from the pooling to the logits, around one of them."""
    found = [node]
    while len(uses := tuple(found[-1].outputs[0].uses())) == 1:
        found.append(uses[0].node)
    while (read := source(found[0]).producer()) is not None:
        kinds = {each.op_type for each in found}
        if kinds & _POOLING and kinds & _LINEAR:
            break
        found.insert(0, read)
    return found


def _reason(node: ir.Node) -> str:
    if node.domain.startswith("com.microsoft"):
        return (
            f"it is an operation of the runtime ({node.domain}), not of ONNX: the file was "
            "optimised by onnxruntime. Pass the model as it was before."
        )
    if node.domain not in ("", "ai.onnx"):
        return (
            f"it is an operation of the domain {node.domain!r}, not of ONNX. If it is a function "
            "of the model, inline it with onnx.inliner.inline_local_functions."
        )
    if node.op_type in _PICKS:
        return _picked(node)
    return _REASONS.get(
        node.op_type,
        "it is not linear, or not known to be. A model with a single linear layer behind its "
        "pooling would do.",
    )


def _picked(node: ir.Node) -> str:
    rank = len(dimensions(source(node)) or ())
    if rank != 3:
        return (
            "it picks a part of a tensor: expected constant places along the channels or classes "
            "of one pooled vector, the same for every image."
        )
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
    **dict.fromkeys(
        ("Concat", "Mean", "Sum", "Where"),
        "it joins several branches in a way that does not keep one vector an image: expected heads "
        "of one pooled feature map, joined along the classes.",
    ),
    "LogSoftmax": (
        "log-probabilities are not logits where more is computed from them. Export the model "
        "without it; Softmax, LogSoftmax and no activation at all are fine as its end."
    ),
    **dict.fromkeys(_DECIDING, _DECIDED),
    **dict.fromkeys(_NORMALISING, _NORM),
}
