"""Single nodes: where the positions of what they compute lie in what they read."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest

from exporter.head.order.moves import above
from exporter.head.order.positions import all_along

Shape = tuple[int, ...]


def axis_above(kind: str, shapes: list[Shape], after: Shape, axis: int, **attributes: Any) -> Any:
    """The axis of the first operand that one axis of the output is read from; None if nothing."""
    values = [ir.Value(shape=ir.Shape(shape)) for shape in shapes]
    output = ir.Value(shape=ir.Shape(after))
    node = ir.node(kind, values, attributes, outputs=[output])
    positions = all_along(after, [axis])
    assert positions is not None
    found = dict(above(node, output, positions)).get(values[0])
    return None if found is None else found.digits[0].axis


@pytest.mark.parametrize(
    ("kind", "before", "after", "axis", "attributes", "expected"),
    [
        ("Transpose", (2, 12, 6), (6, 12, 2), 2, {}, 0),  # without perm the axes are reversed
        ("ReduceMean", (2, 6, 12), (2, 12), 1, {"axes": [-2], "keepdims": 0}, 2),
        ("ReduceMean", (2, 6, 12), (2, 1, 12), 2, {"axes": [-2]}, 2),
    ],
)
def test_an_axis_comes_from_the_one_that_the_node_moves_there(
    kind: str, before: Shape, after: Shape, axis: int, attributes: dict[str, Any], expected: int
) -> None:
    assert axis_above(kind, [before], after, axis, **attributes) == expected


@pytest.mark.parametrize("kind", ["QuantizeLinear", "DequantizeLinear"])
def test_rounding_to_8_bits_leaves_positions_where_they_are(kind: str) -> None:
    assert axis_above(kind, [(2, 12, 6), ()], (2, 12, 6), 1) == 1


def test_the_rows_of_a_gemm_are_the_columns_of_what_it_transposes() -> None:
    assert axis_above("Gemm", [(12, 6), (6, 5)], (12, 5), 0) == 0
    assert axis_above("Gemm", [(6, 12), (6, 5)], (12, 5), 0, transA=1) == 1


def test_a_pointwise_convolution_keeps_positions_only_without_strides_and_padding() -> None:
    shapes = [(2, 6, 8, 8), (6, 6, 1, 1)]
    assert axis_above("Conv", shapes, (2, 6, 8, 8), 2) == 2
    assert axis_above("Conv", shapes, (2, 6, 4, 4), 2, strides=[2, 2]) is None
    assert axis_above("Conv", shapes, (2, 6, 8, 8), 2, pads=[1, 1, 0, 0], strides=[1, 1]) is None
