"""The grid of a feature map is what the graph says, or the model is refused; nothing is guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import patches
import pytest
from graphs import GEMM, LINEAR, Weights, classifier, ints, with_weights
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.parser import parse_model

from exporter import export as run_export
from exporter.errors import HeadError, SourceError
from exporter.head import find_head
from exporter.head.order.moves import above
from exporter.head.order.positions import Positions, all_along
from exporter.images.features import FeatureReader
from exporter.pipelines.inspect import inspect_model
from exporter.source.onnx_file import load_source
from exporter.surgery import fix_input_size
from serving import Artifact, Predictor
from serving.artifact import Preprocessing

# Exported, from the image to the heatmaps


def hottest_cells(artifact: Artifact, patch: tuple[int, int]) -> list[tuple[int, int]]:
    """For each cell of the grid, the one whose heat changes most where that cell is painted."""
    predictor = Predictor(artifact, threads=1)
    generator = np.random.default_rng(1)
    shape = (1, 3, *artifact.manifest.input.preprocessing.size)
    base = generator.random(shape, dtype=np.float32)
    plain = predictor.run(base, classes=np.array([[0, 1]])).heatmaps
    found = []
    for row, column in np.ndindex(artifact.manifest.head.grid):
        picture = base.copy()
        rows = slice(row * patch[0], (row + 1) * patch[0])
        columns = slice(column * patch[1], (column + 1) * patch[1])
        picture[..., rows, columns] = 1 - picture[..., rows, columns]
        heat = predictor.run(picture, classes=np.array([[0, 1]])).heatmaps
        change = np.abs(heat - plain).sum(axis=(0, 1, 2))
        found.append(tuple(int(i) for i in np.unravel_index(change.argmax(), change.shape)))
    return found


@pytest.mark.parametrize(
    ("size", "patch", "grid"),
    [
        ((64, 64), (4, 16), (16, 4)),  # was 8 x 8
        ((64, 64), (8, 4), (8, 16)),  # was refused
        ((161, 160), (26, 32), (6, 5)),  # was 5 x 6
    ],
)
def test_tokens_get_the_grid_of_their_map_from_inspect_to_the_heatmaps(
    size: tuple[int, int], patch: tuple[int, int], grid: tuple[int, int], tmp_path: Path
) -> None:
    # By a method that does not smooth: of a narrow grid a blur may carry the peak to the border.
    config = patches.write(tmp_path, size, patch).model_copy(update={"method": "naive"})
    artifact = run_export(config)
    assert inspect_model(config.model).grid == artifact.manifest.head.grid == grid
    assert hottest_cells(artifact, patch) == list(np.ndindex(grid))


# Graphs whose grid can be told

TOKENS = "f = Reshape (map, to_bdl) t = Transpose <perm = [0, 2, 1]> (f)"  # (b, 12, 6)
MEAN = "z = ReduceMean <axes = [1], keepdims = 0> (y)"
CONSTANTS: Weights = {
    "to_bdl": ints(0, 6, 12),
    "to_bld": ints(0, 12, 6),
    "to_bhwd": ints(0, 4, 3, 6),
    "to_rows": ints(-1, 6),
    "to_heads": ints(0, 12, 2, 3),
    "to_windows": ints(0, 2, 2, 3, 1, 6),
    "windows": ints(-1, 2, 6),
    "from_windows": ints(-1, 2, 3, 2, 1, 6),
    "to_merged": ints(0, 4, 12),
    "merge": (12, 6),
    "m": (6, 6),
    "gamma": (6,),
    "beta": (6,),
    "mix": (12, 12),
    "cls": (1, 1, 6),
    "two": ints(2),
    "one": ints(1),
    "zero": ints(0),
    "minus_two": ints(-2),
    "minus_one": ints(-1),
    "minus_ones": ints(-1, -1, -1),
    "three": ints(3),
    "four": ints(4),
    "six": ints(6),
    "far": ints(1000),
    "pads": ints(0, 0, 0, 0, 0, 0, 0, 0),
    "parts": ints(1, 12),
    "kernel1": (6, 6, 1, 1),
    "kernel3": (6, 6, 3, 3),
}
_ROLL = "a = Slice (g, zero, one, one) c = Slice (g, one, far, one) roll = Concat <axis = 1> (c, a)"
_WINDOWS = (
    "v = Reshape ({0}, to_windows) vt = Transpose <perm = [0, 1, 3, 2, 4, 5]> (v) "
    "win = Reshape (vt, windows) k = Transpose <perm = [0, 2, 1]> (win) s = MatMul (win, k) "
    "p = Softmax (s) att = MatMul (p, win) back = Reshape (att, from_windows) "
    "bt = Transpose <perm = [0, 1, 3, 2, 4, 5]> (back)"
)

KNOWN = {
    "a class token sliced off": (
        f"{TOKENS} s = Shape (image) n = Slice (s, zero, one, zero) "
        "to = Concat <axis = 0> (n, one, one) ctok = Expand (cls, to) "
        "all = Concat <axis = 1> (ctok, t) a = LayerNormalization (all, gamma, beta) "
        "y = Slice (a, one, far, one)"
    ),
    "a class token split off": (
        f"{TOKENS} part = Slice (t, zero, one, one) all = Concat <axis = 1> (part, t) "
        "head, y = Split <axis = 1> (all, parts)"
    ),
    "registers behind the tokens": (
        f"{TOKENS} two_more = Slice (t, zero, two, one) all = Concat <axis = 1> (t, two_more) "
        "y = Slice (all, zero, minus_two, one)"
    ),
    "a residual block: norms, products, Gelu": (
        f"{TOKENS} n = LayerNormalization (t, gamma, beta) h = MatMul (n, m) e = Erf (h) "
        "q = Add (e, beta) s = Mul (q, h) r = MatMul (s, m) x = Add (t, r) "
        "y = LayerNormalization (x, gamma, beta)"
    ),
    "a normalisation spelled out": (
        f"{TOKENS} mean = ReduceMean <axes = [-1]> (t) c = Sub (t, mean) sq = Mul (c, c) "
        "v = ReduceMean <axes = [-1]> (sq) sd = Sqrt (v) y = Div (c, sd)"
    ),
    "attention between the tokens": (
        f"{TOKENS} q = Reshape (t, to_heads) qt = Transpose <perm = [0, 2, 1, 3]> (q) "
        "kt = Transpose <perm = [0, 2, 3, 1]> (q) s = MatMul (qt, kt) p = Softmax (s) "
        "o = MatMul (p, qt) ot = Transpose <perm = [0, 2, 1, 3]> (o) r = Reshape (ot, to_bld) "
        "y = Relu (r)"
    ),
    "layers on tokens of all images at once, as TensorFlow has them": (
        f"{TOKENS} r = Reshape (t, to_rows) g = Gemm (r, m, beta) e = Relu (g) "
        "y = Reshape (e, to_bld)"
    ),
    "tokens mixed in a side branch": (
        f"{TOKENS} a = Transpose <perm = [0, 2, 1]> (t) x = MatMul (a, mix) "
        "c = Transpose <perm = [0, 2, 1]> (x) y = Add (c, t)"
    ),
    "attention in windows that are rolled": (
        f"{TOKENS} g = Reshape (t, to_bhwd) {_ROLL} {_WINDOWS.format('roll')} "
        "w = Reshape (bt, to_bld) y = Add (w, t)"
    ),
    "attention in windows and nothing beside": (
        f"{TOKENS} g = Reshape (t, to_bhwd) pad = Pad (g, pads) {_WINDOWS.format('pad')} "
        "w = Reshape (bt, to_bld) y = Relu (w)"
    ),
    "channels last and back, as TensorFlow has it": (
        "n = Transpose <perm = [0, 2, 3, 1]> (map) c = Transpose <perm = [0, 3, 1, 2]> (n) "
        "d = Conv <pads = [1, 1, 1, 1]> (c, kernel3) e = Transpose <perm = [0, 2, 3, 1]> (d) "
        "x = Reshape (e, to_bld) y = Relu (x)"
    ),
    "a pointwise convolution of tokens on one line": (
        f"{TOKENS} u = Unsqueeze (f, two) c = Conv (u, kernel1) s = Squeeze (c, two) "
        "tt = Transpose <perm = [0, 2, 1]> (s) y = Relu (tt)"
    ),
    "gates for each channel": (
        f"{TOKENS} mean = ReduceMean <axes = [1]> (t) g = Sigmoid (mean) y = Mul (t, g)"
    ),
    "Einsum": f'{TOKENS} y = Einsum <equation = "blc,cd->bld"> (t, m)',
    "shapes computed from the image's, as TorchScript writes them": (
        "s = Shape (map) b = Slice (s, zero, one) h = Slice (s, two, three) w = Slice (s, three, "
        "four) l = Mul (h, w) to = Concat <axis = 0> (b, l, six) same = Equal (to, minus_ones) "
        "none = ConstantOfShape <value = int64[1] {1}> (three) any = Where (same, none, to) "
        "c = Transpose <perm = [0, 2, 3, 1]> (map) x = Reshape (c, any) y = Relu (x)"
    ),
    "tokens of a map that nothing tells the axes of": (
        "o = CumSum (map, two) g = Transpose <perm = [0, 2, 3, 1]> (o) x = Reshape (g, to_bld) "
        "y = Relu (x)"
    ),
}


def tokens_model(tail: str) -> ir.Model:
    return classifier(f"{tail} {MEAN} {GEMM}", {**LINEAR, **CONSTANTS})


@pytest.mark.parametrize("name", KNOWN)
def test_tokens_are_followed_to_their_map(name: str) -> None:
    assert find_head(tokens_model(KNOWN[name])).grid == (4, 3)


def test_patches_that_are_merged_by_slices_have_the_grid_of_the_slices() -> None:
    model = tokens_model(
        f"{TOKENS} g = Reshape (t, to_bhwd) "
        "r0 = Slice (g, zero, far, one, two) p0 = Slice (r0, zero, far, two, two) "
        "r1 = Slice (g, one, far, one, two) p1 = Slice (r1, zero, far, two, two) "
        "c = Concat <axis = -1> (p0, p1) x = Reshape (c, to_merged) y = MatMul (x, merge)"
    )
    assert find_head(model).grid == (2, 2)


def image_model(text: str, weights: Weights) -> ir.Model:
    """Tokens y (b, l, 6) of an image (b, 3, 8, 6), straight from its pixels."""
    source = (
        '<ir_version: 8, opset_import: ["" : 17]> '
        f"net (float[b, 3, 8, 6] image) => (float[b, 5] logits) {{ {text} {MEAN} {GEMM} }}"
    )
    return with_weights(parse_model(source), {**LINEAR, **weights})


@pytest.mark.parametrize(
    ("perm", "grid"), [([0, 2, 4, 3, 5, 1], (4, 3)), ([0, 2, 4, 1, 3, 5], (4, 3))]
)
def test_patches_cut_by_a_reshape_have_a_grid(perm: list[int], grid: tuple[int, int]) -> None:
    model = image_model(
        f"c = Reshape (image, cut) t = Transpose <perm = {perm}> (c) p = Reshape (t, to) "
        "y = MatMul (p, w)",
        {"cut": ints(0, 3, 4, 2, 3, 2), "to": ints(0, 12, 12), "w": (12, 6)},
    )
    assert find_head(model).grid == grid


@pytest.mark.parametrize(
    ("kernel", "grid"),
    [((8, 1), (1, 6)), ((1, 6), (8, 1)), ((8, 6), (1, 1)), ((7, 6), (2, 1)), ((7, 1), (2, 6))],
)
def test_a_grid_may_be_one_line_or_one_cell(kernel: tuple[int, int], grid: tuple[int, int]) -> None:
    model = image_model(
        "c = Conv (image, k) f = Reshape (c, to) y = Transpose <perm = [0, 2, 1]> (f)",
        {"k": (6, 3, *kernel), "to": ints(0, 6, grid[0] * grid[1])},
    )
    assert find_head(model).grid == grid


def test_an_open_image_size_leaves_the_grid_of_tokens_open_until_it_is_fixed() -> None:
    model = tokens_model(KNOWN["a residual block: norms, products, Gelu"])
    model.graph.inputs[0].shape = ir.Shape(["b", 3, None, None])
    model.graph.initializers["to_bdl"].const_value = ir.tensor(ints(0, 6, -1))
    assert find_head(model).grid is None
    fix_input_size(model, (8, 6))
    assert find_head(model).grid == (4, 3)


# Refusals

REFUSED = {
    "tokens of a map whose height and width were swapped": (
        "s = Transpose <perm = [0, 3, 2, 1]> (map) x = Reshape (s, to_bld) y = Relu (x)",
        ("'y'", "column by column", "expected row by row"),
    ),
    "an image whose height and width were swapped in front of the network": (
        "i = Transpose <perm = [0, 1, 3, 2]> (image) s = Conv <strides = [2, 2]> (i, w0, b0) "
        "x = Reshape (s, to_small) tt = Transpose <perm = [0, 2, 1]> (x) y = Relu (tt)",
        ("column by column",),
    ),
    "tokens that stay in windows": (
        f"{TOKENS} g = Reshape (t, to_bhwd) v = Reshape (g, to_windows) "
        "vt = Transpose <perm = [0, 1, 3, 2, 4, 5]> (v) w = Reshape (vt, to_bld) y = Relu (w)",
        ("neither row by row nor column by column",),
    ),
    "a class token among the tokens": (
        f"{TOKENS} part = Slice (t, zero, one, one) y = Concat <axis = 1> (part, t)",
        ("13 tokens", "class token", "averages the patch tokens alone", "(b, h, w, d)"),
    ),
    "tokens mixed by a product": (
        f"{TOKENS} a = Transpose <perm = [0, 2, 1]> (t) x = MatMul (a, mix) "
        "c = Transpose <perm = [0, 2, 1]> (x) y = Relu (c)",
        ("12 tokens of 'y'", "found none", "reshape the tokens to (b, h, w, d)"),
    ),
    "tokens turned upside down": (
        f"{TOKENS} a = Slice (t, minus_one, back, one, step) y = Relu (a)",
        ("12 tokens", "found none"),
    ),
    "branches in different orders": (
        f"{TOKENS} s = Transpose <perm = [0, 3, 2, 1]> (map) x = Reshape (s, to_bld) "
        "y = Add (x, t)",
        ("several branches", "4 x 3, row by row", "3 x 4, column by column"),
    ),
    "two maps that the tokens were reshaped to": (
        "o = CumSum (map, two) f = Reshape (o, to_bdl) t = Transpose <perm = [0, 2, 1]> (f) "
        "g = Reshape (t, other) q = Relu (g) x = Reshape (q, to_bld) y = Relu (x)",
        ("found 2 x 6 and 4 x 3",),
    ),
}
MORE: Weights = {
    "back": ints(-1000),
    "step": ints(-1),
    "other": ints(0, 2, 6, 6),
    "to_small": ints(0, 6, 6),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tokens_in_another_order_or_in_none_that_is_known_are_refused(name: str) -> None:
    tail, expected = REFUSED[name]
    model = classifier(f"{tail} {MEAN} {GEMM}", {**LINEAR, **CONSTANTS, **MORE})
    with pytest.raises(HeadError) as error:
        find_head(model)
    assert [part for part in expected if part not in str(error.value)] == [], error.value


@pytest.mark.parametrize(
    "tail",
    [
        "s = Transpose <perm = [0, 1, 3, 2]> (map) y = Relu (s) "
        "z = ReduceMean <axes = [2, 3], keepdims = 0> (y)",
        "s = Transpose <perm = [0, 3, 2, 1]> (map) y = Relu (s) "
        "z = ReduceMean <axes = [1, 2], keepdims = 0> (y)",
    ],
)
def test_a_map_whose_axes_are_swapped_is_refused(tail: str) -> None:
    with pytest.raises(HeadError, match=r"'y', whose positions lie column by column"):
        find_head(classifier(f"{tail} {GEMM}"))


def test_a_map_whose_axes_nothing_tells_is_accepted() -> None:
    tail = "s = CumSum (map, axis) y = Relu (s) z = ReduceMean <axes = [2, 3], keepdims = 0> (y)"
    assert find_head(classifier(f"{tail} {GEMM}", {**LINEAR, "axis": ints(2)})).grid == (4, 3)


# What the network gives when it runs

COMPUTED = (  # the shape that tokens are folded to is computed from the image, out of sight
    "area = ReduceSum <keepdims = 0> (image) no = Sub (area, area) whole = Cast <to = 7> (no) "
    "to = Add (whole, shape) y = Reshape (map, to)"
)


def reader(model: ir.Model, folder: Path) -> FeatureReader:
    ir.save(model, folder / "model.onnx")
    source = load_source(str(folder / "model.onnx"))
    return FeatureReader(source, find_head(source.model), Preprocessing(resize=(8, 6)), 1)


def test_a_map_whose_size_only_a_run_shows_gets_the_grid_of_the_run(tmp_path: Path) -> None:
    tail = f"{COMPUTED} z = ReduceMean <axes = [2, 3], keepdims = 0> (y) {GEMM}"
    model = classifier(tail, {**LINEAR, "shape": ints(1, 6, 4, 3)})
    assert find_head(model).grid is None
    with reader(model, tmp_path) as found:
        assert found.grid == (4, 3)


def test_tokens_whose_number_only_a_run_shows_are_refused(tmp_path: Path) -> None:
    tail = f"{COMPUTED.replace('y =', 'f =')} y = Transpose <perm = [0, 2, 1]> (f) {MEAN} {GEMM}"
    model = classifier(tail, {**LINEAR, "shape": ints(1, 6, 12)})
    with pytest.raises(SourceError, match=r"fix the number of tokens 'y'.*gives 12"):
        reader(model, tmp_path)


def test_a_shape_stored_in_the_model_that_the_run_does_not_give_is_refused(tmp_path: Path) -> None:
    tail = f"{COMPUTED} z = ReduceMean <axes = [2, 3], keepdims = 0> (y) {GEMM}"
    model = classifier(tail, {**LINEAR, "shape": ints(1, 6, 4, 3)})
    reshaped = next(node for node in model.graph if node.op_type == "Reshape").outputs[0]
    reshaped.shape, reshaped.type = ir.Shape([None, 6, 3, 4]), ir.TensorType(ir.DataType.FLOAT)
    with pytest.raises(SourceError, match="3 x 4, the network gives 4 x 3"):
        reader(model, tmp_path)


# The rules, against numpy: what moves an element moves its position


def numbers(positions: Positions, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The position of every element of an array, negative or too large where it has none."""
    indices = np.indices(shape)
    found = np.zeros(shape, np.int64)
    for axis, stride, size in positions.digits:
        found = found * size + indices[axis] // stride % size
    return found - positions.start


def initializer(name: str, array: NDArray[np.generic]) -> ir.Value:
    tensor = ir.tensor(array, name=name)
    return ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )


@dataclass(frozen=True)
class Move:
    """A node, and the arrays of indices before and after it."""

    node: ir.Node
    before: NDArray[np.int64]
    after: NDArray[np.int64]


def tensor_of(shape: tuple[int, ...]) -> ir.Value:
    """A value of any batch size."""
    return ir.Value(shape=ir.Shape([None, *shape[1:]]), type=ir.TensorType(ir.DataType.INT64))


def drawn_shape(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Another shape of the same elements: two neighbours joined, or one axis split."""
    axis = draw(st.integers(0, len(shape) - 1))
    if draw(st.booleans()) and axis + 1 < len(shape) > 2:
        return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
    part = draw(st.sampled_from([n for n in range(1, shape[axis] + 1) if shape[axis] % n == 0]))
    return (*shape[:axis], part, shape[axis] // part, *shape[axis + 1 :])


@st.composite
def drawn_move(draw: st.DrawFn, before: NDArray[np.int64], kinds: list[str]) -> Move:
    """A node that leaves the batch in front, and what numpy says it computes."""
    kind, read = draw(st.sampled_from(kinds)), tensor_of(before.shape)
    axis = draw(st.integers(1, before.ndim - 1))
    first = draw(st.integers(0, before.shape[axis] - 1))
    taken = np.arange(first, draw(st.integers(first + 1, before.shape[axis])))
    after, inputs, attributes = before.take(taken, axis), [read], {}
    if kind == "Transpose":
        attributes["perm"] = [0, *draw(st.permutations(range(1, before.ndim)))]
        after = before.transpose(attributes["perm"])
    elif kind == "Reshape":
        after = before.reshape(drawn_shape(draw, before.shape))
        inputs.append(initializer("to", ints(*after.shape)))
    elif kind == "Slice":
        cut = {"starts": first, "ends": taken[-1] + 1, "axes": axis}
        inputs += [initializer(name, ints(number)) for name, number in cut.items()]
    elif kind == "Gather":
        inputs.append(initializer("indices", taken))
        attributes["axis"] = axis
    else:
        other = np.full_like(after, -1)
        inputs, attributes["axis"] = [tensor_of(other.shape), read], axis
        after = np.concatenate([other, before], axis)
    output = tensor_of(after.shape)
    return Move(ir.node(kind, inputs, attributes, outputs=[output]), before, after)


@st.composite
def drawn_chain(draw: st.DrawFn, kinds: list[str], sizes: list[int]) -> list[Move]:
    """Moves of an array that holds its own flat indices, two images of it."""
    shape = (2, *draw(st.lists(st.sampled_from(sizes), min_size=1, max_size=4)))
    array, chain = np.arange(math.prod(shape)).reshape(shape), list[Move]()
    for _ in range(draw(st.integers(1, 6))):
        chain.append(draw(drawn_move(array, kinds)))
        array = chain[-1].after
    return chain


@st.composite
def drawn_positions(draw: st.DrawFn, shape: tuple[int, ...]) -> Positions:
    """All elements of an image along some axes, in some order."""
    axes = draw(st.permutations(range(1, len(shape))))
    found = all_along(shape, axes[: draw(st.integers(1, len(axes)))])
    assert found is not None
    return found


def at_the_top(chain: list[Move], positions: Positions) -> Positions | None:
    """Follow positions up a chain."""
    for move in reversed(chain):
        read = move.node.inputs[1 if move.node.op_type == "Concat" else 0]
        found = dict(above(move.node, move.node.outputs[0], positions))
        if read not in found:
            return None
        positions = found[read]
    return positions


def assert_every_element_keeps_its_position(
    chain: list[Move], below: Positions, top: Positions
) -> None:
    first, last = chain[0].before, chain[-1].after
    moved = last >= 0  # and not from the other part of a Concat
    expected = numbers(top, first.shape).ravel()[last[moved]]
    np.testing.assert_array_equal(numbers(below, last.shape)[moved], expected)


@given(st.data())
def test_a_chain_of_moves_gives_the_positions_that_numpy_gives(data: st.DataObject) -> None:
    kinds = ["Transpose", "Reshape", "Slice", "Gather", "Concat"]
    chain = data.draw(drawn_chain(kinds, [1, 2, 3, 4, 6]))
    below = data.draw(drawn_positions(chain[-1].after.shape))
    top = at_the_top(chain, below)
    if top is not None:
        assert_every_element_keeps_its_position(chain, below, top)


@given(st.data())
def test_no_chain_of_reshapes_and_transposes_loses_a_position(data: st.DataObject) -> None:
    # of powers of two, whose digits no axis can cut through
    chain = data.draw(drawn_chain(["Transpose", "Reshape"], [1, 2, 4, 8]))
    below = data.draw(drawn_positions(chain[-1].after.shape))
    top = at_the_top(chain, below)
    assert top is not None
    assert_every_element_keeps_its_position(chain, below, top)
