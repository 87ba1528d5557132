"""What a graph says of itself, and that undoing the surgery takes it out again."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
import tiny
from graphs import serialised

from exporter import Form, convert, export
from exporter.source.embedded import read_graph
from exporter.surgery import remove_prototype_outputs

SPOKEN = "model_info labels"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory):
    """An export of a model that says something of itself already, and that model."""
    folder = tmp_path_factory.mktemp("speaking")
    config = tiny.write(folder)
    model = onnx.load(config.model)
    model.metadata_props.add(key=SPOKEN, value="a b c")
    model.graph.output[0].doc_string = "what the author said"
    onnx.save(model, config.model)
    made = export(config.model_copy(update={"variant": "dense"}))
    made = convert(made.folder, folder / "pixels", Form("explained", "uint8"))
    return ir.load(config.model), made


def test_what_the_source_says_stays_as_it_is(speaking):
    _, made = speaking
    for record in made.manifest.graphs:
        graph = read_graph(made.path(record.file))
        assert graph.metadata_props[SPOKEN] == "a b c"
        assert "model_info mean_values" not in graph.metadata_props  # never half of each
        (logits,) = [value for value in graph.graph.outputs if value.name == "logits"]
        assert logits.doc_string == "what the author said"


@pytest.mark.parametrize("file", ["model.onnx", "dense.onnx", "model_uint8.onnx"])
def test_undoing_the_surgery_leaves_no_word_of_ours(speaking, file):
    source, made = speaking
    graph = read_graph(made.path(file))
    assert remove_prototype_outputs(graph)
    assert serialised(graph) == serialised(source)


def test_model_api_is_told_labels_without_spaces_and_pixels_of_0_to_255(tiny_export):
    props = read_graph(tiny_export[1].path("model.onnx")).metadata_props
    assert props["model_info model_type"] == "Classification"
    assert props[SPOKEN].split() == list(tiny.LABELS)
    assert [float(value) for value in props["model_info scale_values"].split()] == [255.0] * 3
    assert props["model_info reverse_input_channels"] == "True"  # its pictures are BGR
