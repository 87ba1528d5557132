"""Fixing the image size of a graph that leaves it open."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import GEMM, POOLED, classifier, images, run, serialised

from exporter.errors import SurgeryError
from exporter.surgery import fix_input_size


def open_size(*shape: int | str | None) -> ir.Model:
    """A classifier whose input declares a shape of its own."""
    model = classifier(f"{POOLED} {GEMM}")
    model.graph.inputs[0].shape = ir.Shape(shape)
    return model


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("b", 3, "h", "w"), "[b,3,8,6]"),
        (("b", 3, None, 6), "[b,3,8,6]"),
        ((2, 3, "h", "w"), "[2,3,8,6]"),
        (("b", "h", "w", 3), "[b,8,6,3]"),
        (("b", None, None, 1), "[b,8,6,1]"),
    ],
)
def test_height_and_width_are_fixed_and_the_other_axes_stay(
    before: tuple[int | str | None, ...], after: str
) -> None:
    model = open_size(*before)
    assert fix_input_size(model, (8, 6))
    assert str(model.graph.inputs[0].shape) == after


def test_a_size_that_is_fixed_already_changes_no_byte() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    before = serialised(model)
    assert not fix_input_size(model, (8, 6))
    assert serialised(model) == before


@pytest.mark.parametrize("optimise", [True, False])
def test_the_logits_keep_their_bits(optimise: bool) -> None:
    model = open_size("b", 3, "h", "w")
    before = run(model, {"image": images(4)}, optimise=optimise)["logits"]
    fix_input_size(model, (8, 6))
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    after = run(model, {"image": images(4)}, optimise=optimise)["logits"]
    np.testing.assert_array_equal(after, before)


def test_another_fixed_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(SurgeryError, match=r"\(\?, 3, 8, 6\).*images of 8 x 8"):
        fix_input_size(classifier(f"{POOLED} {GEMM}"), (8, 8))


def test_a_weight_that_is_an_input_is_no_image() -> None:
    model = open_size("b", 3, "h", "w")
    model.graph.inputs.append(model.graph.initializers["w0"])  # 4 axes as well
    assert fix_input_size(model, (8, 6))


def test_an_input_that_is_no_image_is_refused_with_its_shape() -> None:
    with pytest.raises(SurgeryError, match=r"one image input of 4 axes, got 'image' \(\?, 144\)"):
        fix_input_size(open_size("b", 144), (8, 6))
