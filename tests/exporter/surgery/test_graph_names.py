"""What is added to a graph takes no name that the graph has, wherever it has it."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import GEMM, GRID, POOLED, classifier, split_head

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.surgery import add_prototype_outputs, remove_prototype_outputs

PLAIN = f"{POOLED} {GEMM}"
BRANCHES = (
    "yes = Constant <value_ints = [1]> () ok = Cast <to = 9> (yes) s = Squeeze (ok) "
    "y = If (s) <then_branch = a () => (float[b, 6] heatmaps) { heatmaps = Relu (z) }, "
    "else_branch = c () => (float[b, 6] e) { e = Abs (z) }>"
)


def explain(model: ir.Model) -> ir.Model:
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    return add_prototype_outputs(model, head, prototypes, reference=reference, top=1, grid=GRID)


@pytest.mark.parametrize("which", ["input", "weight"])
def test_an_output_is_not_named_as_an_input_or_a_weight_is(which: str) -> None:
    model = classifier(PLAIN)
    graph = model.graph
    (graph.inputs[0] if which == "input" else graph.initializers["weight"]).name = "heatmaps"
    with pytest.raises(SurgeryError, match="no value named 'heatmaps'"):
        explain(model)


def test_an_output_is_not_named_as_a_value_of_a_branch_is() -> None:
    with pytest.raises(SurgeryError, match="no value named 'heatmaps'"):
        explain(classifier(f"{PLAIN} {BRANCHES}"))


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
