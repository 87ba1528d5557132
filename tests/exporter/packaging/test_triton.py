"""The model repository for Triton, held to Triton's own schema and to the graphs it serves."""

import dataclasses

import numpy as np
import pytest
from google.protobuf import text_format
from onnx.parser import parse_model
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup

from exporter.packaging import triton
from serving.artifact import sha256_of
from serving.model.runtime import make_session


@pytest.fixture(params=["tiny_export", "two_layers_export"])
def artifact(request):
    return request.getfixturevalue(request.param)[1]


@pytest.fixture
def repository(artifact, tmp_path):
    triton.write(artifact, tmp_path, "birds")
    return tmp_path


def parsed(text):
    """What Triton reads; a field that its schema lacks is an error."""
    return text_format.Parse(text, ModelConfig())


@pytest.mark.parametrize(
    ("model", "file"), [("birds", "model.onnx"), ("birds_steerable", "steerable.onnx")]
)
def test_a_config_names_what_its_graph_has(artifact, repository, model, file):
    config = parsed((repository / model / "config.pbtxt").read_text())
    graph = repository / model / "1" / config.default_model_filename
    assert (config.name, config.backend, graph.name) == (model, "onnxruntime", file)
    assert sha256_of(graph) == artifact.manifest.files[file]
    session = make_session(graph, threads=1)
    for listed, values in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [tensor.name for tensor in listed] == [value.name for value in values]
        for tensor, value in zip(listed, values, strict=True):
            whole = [-1, *tensor.dims] if config.max_batch_size else list(tensor.dims)
            assert whole == [n if isinstance(n, int) else -1 for n in value.shape]
            wanted = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}[value.type]
            assert DataType.Name(tensor.data_type) == wanted
    assert [group.kind for group in config.instance_group] == [ModelInstanceGroup.KIND_AUTO]


def test_requests_are_batched_only_where_every_value_has_a_free_batch(repository):
    plain = parsed((repository / "birds" / "config.pbtxt").read_text())
    steerable = parsed((repository / "birds_steerable" / "config.pbtxt").read_text())
    assert (plain.max_batch_size, plain.HasField("dynamic_batching")) == (16, True)
    # The mask is one for all images.
    assert (steerable.max_batch_size, steerable.HasField("dynamic_batching")) == (0, False)


def labelled(config):
    return {output.name for output in config.output if output.label_filename}


def test_the_labels_are_those_of_the_logits(artifact, repository):
    config = parsed((repository / "birds" / "config.pbtxt").read_text())
    assert labelled(config) == {artifact.manifest.head.logits}
    lines = (repository / "birds" / "labels.txt").read_text().splitlines()
    assert tuple(lines) == artifact.manifest.labels


def test_logits_of_several_images_in_one_row_have_no_labels(tiny_export, repository):
    """Where the batch is not Triton's it ranks the logits of all images as one image's."""
    assert labelled(parsed((repository / "birds_steerable" / "config.pbtxt").read_text())) == set()
    assert not (repository / "birds_steerable" / "labels.txt").exists()
    for batch, names in ((1, {"logits"}), (4, set())):
        graph = f"(float[{batch}, 3] x) => (float[{batch}, 3] logits) {{ logits = Relu (x) }}"
        assert labelled(parsed(configured(tiny_export[1], graph))) == names


def test_a_label_is_one_line(artifact, tmp_path):
    records = list(artifact.manifest.classes)
    records[0] = records[0].model_copy(update={"label": "a\nb\u2028c"})
    manifest = artifact.manifest.model_copy(update={"classes": tuple(records)})
    triton.write(dataclasses.replace(artifact, manifest=manifest), tmp_path, "birds")
    assert (tmp_path / "birds" / "labels.txt").read_text().split("\n")[0] == "a b c"


def test_the_manifest_travels_and_is_named(artifact, repository):
    for model in ("birds", "birds_steerable"):
        config = parsed((repository / model / "config.pbtxt").read_text())
        sha256 = sha256_of(repository / model / "manifest.json")
        assert config.parameters["protohead_manifest_sha256"].string_value == sha256
        assert config.parameters["protohead_logits"].string_value == artifact.manifest.head.logits


@pytest.mark.parametrize(
    ("values", "batch", "dims"),
    [
        ("float[1, 3] x) => (float[1, 3] y", 0, ([1, 3], [1, 3])),
        ("float[N, 3] x) => (float[N, 3] y", 16, ([3], [3])),
        ("float[N] x) => (float[N] y", 0, ([-1], [-1])),
    ],
)
def test_a_fixed_batch_is_not_batched(tiny_export, values, batch, dims):
    config = parsed(configured(tiny_export[1], f"({values}) {{ y = Relu (x) }}"))
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (batch, batch > 0)
    assert (list(config.input[0].dims), list(config.output[0].dims)) == dims


@pytest.mark.parametrize("type_", ["float16", "double", "uint8", "int8", "int32", "bool"])
def test_other_types_have_their_names(tiny_export, type_):
    config = parsed(
        configured(tiny_export[1], f"({type_}[N, 3] x) => ({type_}[N, 3] y) {{ y = Identity (x) }}")
    )
    names = {"float16": "TYPE_FP16", "double": "TYPE_FP64"}
    wanted = names.get(type_, f"TYPE_{type_.upper()}")
    assert DataType.Name(config.input[0].data_type) == wanted
    assert DataType.Name(config.output[0].data_type) == wanted


def test_an_output_that_triton_cannot_hold_is_left_out(tiny_export):
    outputs = "float[N, 3] y, seq(float[N, 3]) s"
    graph = f"(float[N, 3] x) => ({outputs}) {{ y = Relu (x) s = SequenceConstruct (x) }}"
    config = parsed(configured(tiny_export[1], graph))
    assert [output.name for output in config.output] == ["y"]


def test_names_with_quotes_and_other_letters_are_read_back(tiny_export):
    class Session:
        def get_inputs(self):
            return [Value('a "b"\\ü')]

        get_outputs = get_inputs

    @dataclasses.dataclass
    class Value:
        name: str
        type: str = "tensor(float)"
        shape: tuple = (None, 3)

    config = parsed(triton.config(tiny_export[1], Session(), "model.onnx", "birds"))
    assert config.input[0].name == 'a "b"\\ü'


def configured(artifact, graph):
    model = parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\ng {graph}')
    session = make_session(model.SerializeToString(), threads=1)
    return triton.config(artifact, session, "model.onnx", "birds")


def test_the_golden_batch_of_the_artifact_fits_the_config(artifact, repository):
    config = parsed((repository / "birds" / "config.pbtxt").read_text())
    golden = np.load(artifact.path("golden.npz"))
    for kind, listed in (("inputs", config.input), ("outputs", config.output)):
        for tensor in listed:
            shape = golden[f"{kind}/{tensor.name}"].shape[1:]
            assert tuple(tensor.dims) == shape
