"""Shapes that a file does not tell, or tells in another way, are read off a run of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, ints

from exporter.errors import HeadError
from exporter.graph.read import dimensions
from exporter.head import find_head
from exporter.source.onnx_file import load_source
from exporter.surgery import fix_input_size

FUSED = "[fused] map2 = Relu (map)"


def fused(tail: str, **options: str) -> ir.Model:
    """A classifier with an operation of the runtime, of which ONNX infers no shape."""
    model = classifier(tail, {**LINEAR, "k": (6, 6, 1, 1), "kb": (6,)}, **options)
    node = model.graph.node("fused")
    node.domain, node.op_type = "com.microsoft", "FusedConv"
    node.attributes["activation"] = ir.AttrString("activation", "Relu")
    for index, name in enumerate(("k", "kb"), 1):
        node.resize_inputs(index + 1)
        node.replace_input_with(index, model.graph.initializers[name])
    model.graph.opset_imports["com.microsoft"] = 1
    return model


def behind_fused(tail: str) -> str:
    return f"{FUSED} {tail.replace('(map)', '(map2)')}"


@pytest.mark.parametrize(
    "tail",
    [
        f"{POOLED} {GEMM}",
        f"{POOLED} [linear] m = Gemm <transB = 1> (z, weight) logits = Add (m, bias)",
        f"[pool] z = ReduceMean <axes = [2, 3], keepdims = 0> (map) {GEMM}",
    ],
)
def test_behind_an_operation_of_a_runtime_the_head_is_found_with_its_grid(tail: str) -> None:
    head = find_head(fused(behind_fused(tail)))
    assert (head.feature, head.layout, head.grid) == ("map2", "NCHW", (4, 3))
    assert head.weight.shape == (5, 6)


def test_an_open_image_size_stays_open() -> None:
    model = fused(behind_fused(f"{POOLED} {GEMM}"))
    model.graph.inputs[0].shape = ir.Shape(["b", 3, None, None])
    assert find_head(model).grid is None
    fix_input_size(model, (8, 6))
    assert find_head(model).grid == (4, 3)


def test_a_fixed_batch_is_no_hindrance() -> None:
    model = fused(behind_fused(f"{POOLED} {GEMM}"))
    model.graph.inputs[0].shape = ir.Shape([2, 3, 8, 6])
    assert find_head(model).grid == (4, 3)


def test_an_output_without_a_shape_is_read_too() -> None:
    model = fused(behind_fused(f"{POOLED} {GEMM}"))
    model.graph.outputs[0].shape = None
    assert find_head(model).weight.shape == (5, 6)


def test_negative_sizes_are_free_ones() -> None:
    model = classifier(f"{POOLED} {GEMM}", outputs="float[b, 5] logits")
    model.graph.inputs[0].shape = ir.Shape([-1, 3, -1, -1])
    model.graph.outputs[0].shape = ir.Shape([-1, 5])
    assert find_head(model).grid is None
    assert dimensions(model.graph.inputs[0]) == (None, 3, None, None)


def test_the_model_that_is_asked_keeps_its_shapes() -> None:
    model = fused(behind_fused(f"{POOLED} {GEMM}"))
    find_head(model)
    assert model.graph.node("pool").outputs[0].shape is None


def test_what_does_not_run_is_told_what_would_and_not_a_size_that_is_fixed() -> None:
    model = classifier(behind_fused(f"{POOLED} {GEMM}"))
    model.graph.node("fused").domain = "nobody.knows"
    with pytest.raises(HeadError, match="The image size is fixed, but"):
        find_head(model)
    model.graph.inputs[0].shape = ir.Shape(["b", 3, None, None])
    with pytest.raises(HeadError, match="Export the model with a fixed image size"):
        find_head(model)


def test_channels_that_a_computed_shape_hides_are_seen() -> None:
    tail = (
        "[pool] p = GlobalAveragePool (map) s = Size (image) f = Cast <to = 1> (s) "
        "zero = Sub (f, f) i = Cast <to = 7> (zero) one = Add (i, six) to1 = Reshape (one, single) "
        f"to = Concat <axis = 0> (batch, to1) z = Reshape (p, to) {GEMM}"
    )
    constants = {"six": np.array(6), "single": ints(1), "batch": ints(-1)}
    assert find_head(classifier(tail, {**LINEAR, **constants})).weight.shape == (5, 6)


@pytest.mark.parametrize("left_out", ["shape", "type"])
def test_a_file_may_leave_out_what_its_output_is(tmp_path: Path, left_out: str) -> None:
    proto = ir.to_proto(classifier(f"{POOLED} {GEMM}"))
    (output,) = proto.graph.output
    if left_out == "shape":
        output.type.tensor_type.ClearField("shape")
    else:
        output.ClearField("type")
    onnx.save(proto, tmp_path / "model.onnx")
    source = load_source(tmp_path / "model.onnx")
    (told,) = source.model.graph.outputs
    assert dimensions(told) == (None, 5)
    assert told.dtype == ir.DataType.FLOAT
    assert find_head(source.model).grid == (4, 3)


def test_a_picture_that_no_memory_holds_is_not_tried() -> None:
    model = fused(behind_fused(f"{POOLED} {GEMM}"))
    model.graph.inputs[0].shape = ir.Shape(["b", 3, 2**31, 2**31])
    with pytest.raises(HeadError, match="shape unknown"):
        find_head(model)
