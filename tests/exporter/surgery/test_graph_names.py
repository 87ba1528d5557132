"""What is added to a graph takes no name that the graph has, wherever it has it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import GEMM, GRID, POOLED, classifier, images, run, serialised, split_head

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.surgery import (
    add_prototype_outputs,
    add_steering,
    free_prefix,
    remove_prototype_outputs,
)

PLAIN = f"{POOLED} {GEMM}"
BRANCHES = (
    "yes = Constant <value_ints = [1]> () ok = Cast <to = 9> (yes) s = Squeeze (ok) "
    "y = If (s) <then_branch = a () => (float[b, 6] heatmaps) { heatmaps = Relu (z) }, "
    "else_branch = c () => (float[b, 6] e) { e = Abs (z) }>"
)


NAMES = ["contributions", "common", "class_ids", "heatmaps", "prototype_mask", "classes"]


def explain(model: ir.Model) -> ir.Model:
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    return add_prototype_outputs(model, head, prototypes, reference=reference, top=1, grid=GRID)


def taken(name: str, where: str) -> ir.Model:
    """A classifier with a value of this name."""
    if where == "branch":
        return classifier(f"{PLAIN} {BRANCHES.replace('heatmaps', name)}")
    if where == "output":
        outputs = f"float[b, 5] logits, float[b, 6] {name}"
        return classifier(f"{PLAIN} {name} = Relu (z)", outputs=outputs)
    model = classifier(f"{PLAIN} inner = Relu (z)")
    graph = model.graph
    values = {
        "input": graph.inputs[0],
        "weight": graph.initializers["weight"],
        "value": graph[-1].outputs[0],
    }
    values[where].name = name
    return model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["input", "output", "weight", "value", "branch"])
def test_a_taken_name_stays_the_sources_and_all_of_ours_get_a_prefix(name: str, where: str) -> None:
    source = taken(name, where)
    head = find_head(source, output="logits")
    prototypes, reference = split_head(head.weight)
    explained = add_prototype_outputs(
        source, head, prototypes, reference=reference, top=1, grid=GRID
    )
    steered = add_steering(source, head, prototypes, reference=reference, grid=GRID)
    own = [value.name for value in source.graph.outputs]
    ours = [f"protohead_{name}" for name in NAMES]
    assert [value.name for value in explained.graph.outputs] == own + ours[:4]
    assert [value.name for value in steered.graph.inputs[1:]] == ours[4:]
    assert free_prefix(source) == "protohead_"
    feeds = {str(source.graph.inputs[0].name): images(2)}
    before, after = run(source, feeds), run(explained, feeds)
    for output in own:
        np.testing.assert_array_equal(after[output], before[output])
    before_bytes = serialised(source)
    assert remove_prototype_outputs(explained)
    assert serialised(explained) == before_bytes


def test_a_prefix_that_is_taken_too_is_repeated() -> None:
    source = classifier(f"{PLAIN} heatmaps = Relu (z) protohead_common = Relu (z)")
    assert free_prefix(source) == "protohead_protohead_"


def test_free_names_have_no_prefix() -> None:
    assert free_prefix(classifier(PLAIN)) == ""


def test_a_node_that_undoing_would_take_for_an_added_one_is_refused() -> None:
    model = classifier(PLAIN)
    model.graph.node("pool").name = "protohead/pool"
    with pytest.raises(SurgeryError, match="found 'protohead/pool': it was extended before"):
        explain(model)


@pytest.mark.parametrize("note", ["", "5", "[[1]]", '["logits"'])
def test_a_note_of_the_added_outputs_that_cannot_be_read_is_refused(note: str) -> None:
    explained = explain(classifier(PLAIN))
    explained.metadata_props["protohead/added_outputs"] = note
    with pytest.raises(SurgeryError, match="cannot be taken out of the graph again"):
        remove_prototype_outputs(explained)
