"""What a dense graph adds, for every form of head, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from chain_forms import FORMS as CHAINS
from chain_forms import split_chain
from graphs import (
    GEMM,
    GRID,
    LINEAR,
    POOLED,
    classifier,
    images,
    run,
    serialised,
    split_head,
    with_weights,
)
from head_forms import FORMS, VARIETY
from onnx.parser import parse_model

from exporter.errors import SurgeryError
from exporter.graph.write import NodeWriter
from exporter.head import Head, find_head
from exporter.surgery import (
    CHOOSING_OPERATORS,
    PREFIX,
    add_dense_outputs,
    add_edit,
    add_prototype_outputs,
    remove_prototype_outputs,
    require_dense,
)
from exporter.surgery.dense_chain import FixedRows

SMOOTHING = (2, 1)


def both(model: ir.Model, top: int = 5) -> tuple[ir.Model, ir.Model, Head]:
    """The dense and the explained graph of random prototypes, and the head."""
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    given = {"reference": reference, "grid": head.grid or GRID, "smoothing": SMOOTHING}
    dense = add_dense_outputs(model, head, prototypes, **given)
    return dense, add_prototype_outputs(model, head, prototypes, top=top, **given), head


def own_operators(model: ir.Model) -> set[str]:
    return {node.op_type for node in model.graph if (node.name or "").startswith(PREFIX)}


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", FORMS)
def test_no_bit_of_the_source_outputs_changes(name: str, count: int) -> None:
    source = FORMS[name].model()
    dense, _, _ = both(source)
    found = run(dense, {"image": images(count)})
    for output, values in run(source, {"image": images(count)}).items():
        np.testing.assert_array_equal(found[output], values)


@pytest.mark.parametrize("name", VARIETY)
def test_every_class_is_explained_as_the_explained_graph_explains_it(name: str) -> None:
    dense, explained, _head = both(FORMS[name].model())
    found, expected = (run(model, {"image": images(4)}) for model in (dense, explained))
    ids = expected["class_ids"]
    assert ids.shape[1] == 5  # every class
    b, count, k, *grid = expected["heatmaps"].shape
    for output, shape in (("contributions", (b, count, k)), ("heatmaps", (b, count, k, *grid))):
        own = found[output].reshape(shape)
        order = ids.reshape(*ids.shape, *[1] * (own.ndim - 2))
        own = np.take_along_axis(own, order, axis=1)
        # float32 in another order of sums
        atol = 1e-5 * np.abs(expected[output]).max()
        np.testing.assert_allclose(own, expected[output], rtol=0, atol=atol)
    largest = np.abs(expected["contributions"]).max()
    np.testing.assert_allclose(found["common"], expected["common"], rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("name", VARIETY)
def test_no_node_chooses_by_an_index_or_computes_a_shape(name: str) -> None:
    dense, _, _ = both(FORMS[name].model())
    assert not own_operators(dense) & CHOOSING_OPERATORS
    kernels = [
        node.attributes["kernel_shape"].as_ints()
        for node in dense.graph
        if node.op_type == "Conv" and (node.name or "").startswith(PREFIX)
    ]
    assert all(tuple(kernel) == (1, 1) for kernel in kernels)  # told, not inferred from weights


@pytest.mark.parametrize("name", VARIETY)
def test_undoing_gives_the_bytes_back(name: str) -> None:
    source = FORMS[name].model()
    dense, _, _ = both(source)
    assert remove_prototype_outputs(dense)
    assert serialised(dense) == serialised(source)


def test_one_product_smooths_rows_and_columns_of_a_small_grid() -> None:
    dense, _, _ = both(classifier(f"{POOLED} {GEMM}"))
    products = [n for n in dense.graph if n.op_type == "MatMul" and n.name.startswith(PREFIX)]
    assert len(products) == 1
    assert dense.graph.initializers[f"{PREFIX}smoothing"].shape == (12, 12)


def test_a_large_grid_is_smoothed_by_two_small_products() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    large (float[b, 6, 40, 36] image) => (float[b, 5] logits) {
      [relu] map = Relu (image)
      [pool] p = GlobalAveragePool (map)
      [flat] z = Flatten (p)
      [linear] logits = Gemm <transB = 1> (z, weight, bias)
    }"""
    dense, explained, _ = both(with_weights(parse_model(text), LINEAR))
    assert {f"{PREFIX}smoothing.down", f"{PREFIX}smoothing.across"} <= set(dense.graph.initializers)
    picture = {"image": np.random.default_rng(0).random((2, 6, 40, 36), dtype=np.float32)}
    found, expected = run(dense, picture), run(explained, picture)
    own = found["heatmaps"].reshape(2, 5, -1, 40, 36)
    own = np.take_along_axis(own, expected["class_ids"][:, :, None, None, None], axis=1)
    np.testing.assert_allclose(own, expected["heatmaps"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["GlobalAveragePool, Flatten", "NHWC", "tokens"])
def test_an_edit_mutes_a_prototype_of_a_dense_graph(name: str) -> None:
    dense, explained, head = both(FORMS[name].model())
    prototypes, _ = split_head(head.weight)
    edit = {"shape": prototypes.shape, "logits_shape": head.logits_shape}
    changed, expected = (
        run(add_edit(model, head.logits, [(1, 0)], **edit), {"image": images(4)})
        for model in (dense, explained)
    )
    np.testing.assert_array_equal(changed[head.logits], expected[head.logits])
    k = prototypes.shape[1]
    before = run(dense, {"image": images(4)})
    assert not changed["contributions"][:, k].any()
    assert not changed["heatmaps"][:, k].any()
    kept = [channel for channel in range(5 * k) if channel != k]
    np.testing.assert_array_equal(
        changed["contributions"][:, kept], before["contributions"][:, kept]
    )
    edited = add_edit(dense, head.logits, [(1, 0)], **edit)
    assert not own_operators(edited) & CHOOSING_OPERATORS


def chained(name: str) -> tuple[ir.Model, ir.Model, ir.Model, Head]:
    """A classifier with a chain, its dense and its explained graph, and its head."""
    form = CHAINS[name]
    source = classifier(form.tail, form.stored, opset=form.opset)
    head = find_head(source)
    prototypes, reference = split_chain(head)
    given = {"reference": reference, "grid": head.grid or GRID, "smoothing": SMOOTHING}
    dense = add_dense_outputs(source, head, prototypes, **given)
    return source, dense, add_prototype_outputs(source, head, prototypes, top=5, **given), head


@pytest.mark.parametrize("name", CHAINS)
def test_a_head_of_several_steps_is_explained_without_an_index(name: str) -> None:
    source, dense, explained, head = chained(name)
    require_dense(source, head)
    assert not own_operators(dense) & CHOOSING_OPERATORS
    found, expected, plain = (
        run(model, {"image": images(4)}) for model in (dense, explained, source)
    )
    for output, values in plain.items():
        np.testing.assert_array_equal(found[output], values)
    ids = expected["class_ids"]
    b, count, k, *grid = expected["heatmaps"].shape
    shapes = {"contributions": (b, count, k), "heatmaps": (b, count, k, *grid)}
    if not head.chain.whole:
        shapes["unplaced"] = (b, count)
    largest = np.abs(expected["contributions"]).max()
    for output, shape in shapes.items():
        own = found[output].reshape(shape)
        own = np.take_along_axis(own, ids.reshape(*ids.shape, *[1] * (own.ndim - 2)), axis=1)
        atol = 1e-5 * max(largest, np.abs(expected[output]).max())  # float32 in another order
        np.testing.assert_allclose(own, expected[output], rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["two layers, ReLU", "a class token over two blocks"])
def test_an_edit_mutes_a_prototype_of_a_head_of_several_steps(name: str) -> None:
    _, dense, explained, head = chained(name)
    edit = {"shape": split_chain(head)[0].shape, "logits_shape": head.logits_shape}
    changed, expected = (
        run(add_edit(model, head.logits, [(1, 0)], **edit), {"image": images(4)})
        for model in (dense, explained)
    )
    largest = np.abs(expected["contributions"]).max()
    np.testing.assert_allclose(
        changed[head.logits], expected[head.logits], rtol=0, atol=1e-6 * largest
    )
    muted = edit["shape"][1]
    assert not changed["contributions"][:, muted].any()
    assert not changed["heatmaps"][:, muted].any()


def test_places_that_take_an_index_are_refused_in_one_line() -> None:
    write = FixedRows(NodeWriter(classifier(f"{POOLED} {GEMM}")))
    value = write.floats(np.ones((1, 4, 6)))
    assert write.pick(value, 2, np.array([3, 1]), 6) is not value
    with pytest.raises(SurgeryError, match="picking them takes an index") as refused:
        write.pick(value, 1, np.array([3, 1]), 4)
    assert "\n" not in str(refused.value)
    with pytest.raises(SurgeryError, match="putting them in order takes an index"):
        write.scatter(value, np.array([1, 0, 2, 3, 5, 4]), 6)
