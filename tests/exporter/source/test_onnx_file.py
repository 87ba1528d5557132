"""Reading ONNX files: what becomes a source, and what is refused before it is used."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.external_data_helper import set_external_data

from exporter.errors import ExporterError, MissingExtraError, SourceError
from exporter.graph.read import opset
from exporter.source import graph_session
from exporter.source.onnx_file import load_source
from exporter.surgery import raise_opset
from serving.model.runtime import make_session

CLASSIFIER = """
    <ir_version: 8, opset_import: ["" : 17]>
    classifier (float[n, 3, 8, 8] image) => (float[n, 2] logits)
    <float[2, 3] weight = {1, 2, 3, 4, 5, 6}, float[2] bias = {0.5, -0.5}>
    {
        pooled = GlobalAveragePool(image)
        features = Flatten(pooled)
        logits = Gemm <transB = 1> (features, weight, bias)
    }
"""
WEIGHT = np.arange(1, 7, dtype=np.float32).reshape(2, 3)


def save(path: Path, text: str = CLASSIFIER) -> Path:
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def make_external(tensor: onnx.TensorProto, location: str, **extent: int) -> None:
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    set_external_data(tensor, location, **extent)
    tensor.ClearField("raw_data")


def save_external(path: Path, location: str = "weights.bin", **extent: int) -> Path:
    """Save the classifier without its weight matrix, which is said to be at the location."""
    model = onnx.parser.parse_model(CLASSIFIER)
    make_external(model.graph.initializer[0], location, **extent)
    path.write_bytes(model.SerializeToString())  # onnx.save would write the data, too
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return tmp_path / "model" / "classifier.onnx"


def test_a_file_becomes_a_source_that_names_no_path(model: Path) -> None:
    source = load_source(str(save(model)))
    assert source.name == "classifier.onnx"
    assert source.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert source.input.name == "image"
    assert source.input.shape == (None, 3, 8, 8)
    assert source.input.dtype == "float32"


def test_the_graph_computes_what_the_file_computes(model: Path) -> None:
    source = load_source(str(save(model)))
    image = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    expected = make_session(model).run(None, {"image": image})
    got = make_session(ir.to_proto(source.model).SerializeToString()).run(None, {"image": image})
    np.testing.assert_array_equal(got, expected)  # the same graph in the same runtime


def test_an_input_with_an_initializer_is_no_input(model: Path) -> None:
    text = CLASSIFIER.replace("8] image)", "8] image, float[2, 3] weight)")
    assert load_source(str(save(model, text))).input.name == "image"


def test_external_data_is_in_memory_and_in_the_digest(model: Path) -> None:
    save_external(model)
    data = model.with_name("weights.bin")
    data.write_bytes(WEIGHT.tobytes())
    source = load_source(str(model))
    digest = hashlib.sha256(model.read_bytes() + data.read_bytes()).hexdigest()
    data.unlink()
    weight = source.model.graph.initializers["weight"].const_value
    np.testing.assert_array_equal(weight.numpy(), WEIGHT)
    assert source.sha256 == digest


def test_external_data_is_found_from_the_models_own_folder(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_external(model).with_name("weights.bin").write_bytes(WEIGHT.tobytes())
    monkeypatch.chdir(model.parent)
    assert load_source(model.name).input.name == "image"


@pytest.mark.parametrize(
    "location", ["{outside}", "../secret.bin", "a/../../secret.bin", "..\\secret.bin", "C:\\s.bin"]
)
def test_external_data_outside_the_folder_is_refused(
    model: Path, tmp_path: Path, location: str
) -> None:
    outside = tmp_path / "secret.bin"
    outside.write_bytes(WEIGHT.tobytes())
    (model.parent / "a").mkdir()
    save_external(model, location.format(outside=outside))
    with pytest.raises(SourceError, match="outside the model's folder"):
        load_source(str(model))


def test_a_link_out_of_the_folder_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    save_external(model).with_name("weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(SourceError, match="outside the model's folder"):
        load_source(str(model))


def test_external_data_of_attributes_subgraphs_and_functions_is_watched(model: Path) -> None:
    constant = onnx.helper.make_node(
        "Constant", [], ["c"], value=onnx.numpy_helper.from_array(WEIGHT, "hidden")
    )
    make_external(constant.attribute[0].t, "/etc/hostname")
    nested = onnx.helper.make_graph([constant], "branch", [], [])
    plain = onnx.parser.parse_model(CLASSIFIER)
    for case in ("attribute", "subgraph", "function"):
        proto = onnx.ModelProto()
        proto.CopyFrom(plain)
        if case == "attribute":
            proto.graph.node.append(constant)
        elif case == "subgraph":
            branch = onnx.helper.make_node("If", ["image"], ["d"], then_branch=nested)
            proto.graph.node.append(branch)
        else:
            opsets = [onnx.helper.make_opsetid("", 17)]
            proto.functions.append(
                onnx.helper.make_function("own", "F", [], ["c"], [constant], opsets)
            )
        model.write_bytes(proto.SerializeToString())
        with pytest.raises(SourceError, match="'/etc/hostname' lies outside"):
            load_source(str(model))


def test_missing_external_data_is_named(model: Path) -> None:
    with pytest.raises(SourceError, match=r"'weights\.bin' is missing"):
        load_source(str(save_external(model)))


@pytest.mark.parametrize("extent", [{}, {"offset": 0, "length": 24}, {"offset": 4, "length": 24}])
def test_truncated_external_data_is_refused(model: Path, extent: dict[str, int]) -> None:
    save_external(model, **extent).with_name("weights.bin").write_bytes(WEIGHT.tobytes()[:-4])
    with pytest.raises(SourceError, match="weight"):
        load_source(str(model))


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "-5"), ("length", "many"), ("location", "a" * 300), ("location", "a\0b")],
)
def test_external_data_that_can_lie_nowhere_is_refused(model: Path, key: str, value: str) -> None:
    proto = onnx.load(save_external(model), load_external_data=False)
    (tensor,) = (t for t in proto.graph.initializer if t.external_data)
    entry = next((e for e in tensor.external_data if e.key == key), None)
    entry = tensor.external_data.add() if entry is None else entry
    entry.key, entry.value = key, value
    model.write_bytes(proto.SerializeToString())
    model.with_name("weights.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(SourceError, match="external data of 'weight'") as error:
        load_source(str(model))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 64, b"\x89PNG\r\n\x1a\n" * 9])
def test_what_is_no_onnx_file_is_refused(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    with pytest.raises(SourceError, match=r"not an ONNX (file|model)"):
        load_source(str(model))


def test_every_truncation_is_refused(model: Path) -> None:
    data = save(model).read_bytes()
    for length in range(len(data)):
        model.write_bytes(data[:length])
        with pytest.raises(SourceError):
            load_source(str(model))


def test_a_damaged_file_is_read_or_refused_but_never_crashes(model: Path) -> None:
    data = save(model).read_bytes()
    generator = random.Random(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] = generator.randrange(256)
        model.write_bytes(damaged)
        try:
            load_source(str(model))
        except ExporterError:
            refused += 1
    assert 0 < refused < 500


def test_a_value_that_nothing_computes_is_named(model: Path) -> None:
    text = CLASSIFIER.replace("Flatten(pooled)", "Flatten(lost)")
    with pytest.raises(SourceError, match=r"not a valid ONNX graph.*'lost'"):
        load_source(str(save(model, text)))


def test_an_operator_that_onnx_lacks_is_named_with_what_keras_would_write_instead(
    model: Path,
) -> None:
    text = CLASSIFIER.replace("Flatten(pooled)", "Erfc(pooled)")
    with pytest.raises(SourceError, match=r"Erfc.*`approximate=True`"):
        load_source(str(save(model, text)))


def test_a_graph_whose_images_depend_on_each_other_is_refused(model: Path) -> None:
    norm = "BatchNormalization <training_mode = {}> (image, one, one, one, one)"
    text = CLASSIFIER.replace("float[2] bias", "float[3] one = {1, 1, 1}, float[2] bias")
    for mode, outputs in ((0, "normed"), (1, "normed, mean, deviation")):
        line = f"{outputs} = {norm.format(mode)}\n        pooled = GlobalAveragePool(normed)"
        save(model, text.replace("pooled = GlobalAveragePool(image)", line))
        if mode == 0:
            assert load_source(str(model)).input.name == "image"
    with pytest.raises(SourceError, match="in training mode, so the logits of an image"):
        load_source(str(model))


def test_a_weight_that_is_standardised_by_its_own_statistics_depends_on_no_image(
    model: Path,
) -> None:
    line = (
        "standard, mean, deviation = BatchNormalization <training_mode = 1> "
        "(image_like, one, one, one, one)\n        pooled = GlobalAveragePool(image)"
    )
    text = CLASSIFIER.replace(
        "float[2] bias",
        "float[3] one = {1, 1, 1}, float[1,3] image_like = {1, 2, 3}, float[2] bias",
    ).replace("pooled = GlobalAveragePool(image)", line)
    assert load_source(str(save(model, text))).input.name == "image"


def test_operators_of_other_domains_are_left_to_the_runtime(model: Path) -> None:
    text = CLASSIFIER.replace('"" : 17', '"" : 17, "com.microsoft" : 1').replace(
        "logits = Gemm", "unused = com.microsoft.Gelu (features)\n        logits = Gemm"
    )
    operators = {node.op_type for node in load_source(str(save(model, text))).model.graph}
    assert "Gelu" in operators


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found nothing"):
        load_source(str(tmp_path / "absent.onnx"))
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(SourceError, match="found a folder"):
        load_source(str(tmp_path / "folder.onnx"))


def test_more_than_two_gibibytes_are_refused_unread(model: Path) -> None:
    save_external(model)
    with model.with_name("weights.bin").open("wb") as data:
        data.truncate(2**31)  # sparse: takes no space
    with pytest.raises(SourceError, match=r"2\.0 GiB with its weights"):
        load_source(str(model))
    with model.open("r+b") as file:
        file.truncate(2**31)
    with pytest.raises(SourceError, match=r"2\.0 GiB with its weights"):
        load_source(str(model))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("8] image)", "8] image, float[n] other)", "found 2: image, other"),
        ("float[n, 3, 8, 8] image", "int32[n, 3, 8, 8] image", "float32 or uint8 .*found INT32"),
        ("float[n, 3, 8, 8] image", "float16[n, 3, 8, 8] image", "found FLOAT16"),
        ("float[n, 3, 8, 8] image", "float[n, 192] image", "four-dimensional"),
        ("float[n, 3, 8, 8] image", "float image", "four-dimensional"),
    ],
)
def test_an_input_that_is_no_image_is_refused(model: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        load_source(str(save(model, CLASSIFIER.replace(old, new))))


def test_a_graph_without_an_input_is_refused(model: Path) -> None:
    text = CLASSIFIER.replace("(float[n, 3, 8, 8] image)", "()").replace(
        "<float[2, 3]", "<float[1, 3, 1, 1] image = {1, 2, 3}, float[2, 3]"
    )
    with pytest.raises(SourceError, match="found 0: none"):
        load_source(str(save(model, text)))


def test_options_of_torch_models_are_refused_with_a_file(model: Path) -> None:
    save(model)
    with pytest.raises(SourceError, match="carries its weights"):
        load_source(str(model), weights=Path("weights.safetensors"))
    with pytest.raises(SourceError, match="carries its weights"):
        load_source(str(model), input_size=(8, 8))


@pytest.mark.parametrize("name", ["resnet18", "model.pt", ""])
def test_any_other_form_is_refused(name: str) -> None:
    with pytest.raises(
        SourceError, match=r"ends in \.onnx, package.module:callable, .*timm:NAME or hf"
    ):
        load_source(name)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("exporter.source.torch_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # what makes `import torch` fail
    with pytest.raises(MissingExtraError, match=r"needs torch.*pip install 'protohead\[torch\]'"):
        load_source("package.module:build")


def test_a_file_name_that_is_no_text_is_told_as_far_as_it_is(tmp_path):
    save(tmp_path / "model.onnx")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.onnx"))
    (tmp_path / "model.onnx").rename(odd)
    assert load_source(str(odd), weights=None, input_size=None).name == r"m\xff.onnx"


# Old opsets


def test_an_old_opset_is_converted_and_the_graph_of_the_file_kept(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = load_source(str(save(model, CLASSIFIER.replace("17", "9"))))
    assert (opset(source.model.graph), opset(source.original.graph)) == (11, 9)
    assert source.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert "opset 9 of IR version 8 is read as opset 11" in caplog.text


def test_a_new_opset_is_its_own_original(model: Path) -> None:
    source = load_source(str(save(model)))
    assert source.original is source.model


@pytest.mark.parametrize("size", ["8, 8", "h, w"])
def test_what_a_converted_graph_answers_otherwise_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    def careless(old: ir.Model) -> ir.Model:
        """A conversion that is off by one bit of one weight."""
        raised = raise_opset(old)
        weight = WEIGHT.copy()
        weight[0, 0] = np.nextafter(weight[0, 0], 2, dtype=np.float32)
        raised.graph.initializers["weight"].const_value = ir.tensor(weight)
        return raised

    monkeypatch.setattr(graph_session, "raise_opset", careless)
    save(model, CLASSIFIER.replace("17", "9").replace("8, 8", size))
    with pytest.raises(SourceError, match=r"opset 9 .* too old, and .* other bits. Export the"):
        load_source(str(model))


def test_what_cannot_be_converted_is_refused_with_the_reason(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(_model: onnx.ModelProto, _version: int) -> onnx.ModelProto:
        raise RuntimeError("ir.h:283: find: Assertion `it != end` failed: No Adapter for Scan")

    monkeypatch.setattr(onnx.version_converter, "convert_version", convert)
    save(model, CLASSIFIER.replace("17", "9"))
    with pytest.raises(SourceError, match=r"opset 9 cannot be .* 11: No Adapter for Scan. Export"):
        load_source(str(model))


def test_an_old_graph_that_does_not_run_at_a_guessed_size_is_left_to_verification(
    model: Path,
) -> None:
    text = CLASSIFIER.replace("17", "9").replace("8, 8", "h, w")
    text = text.replace("GlobalAveragePool(image)", "GlobalAveragePool(sum)").replace(
        "pooled =", "sum = Add (image, fixed) pooled ="
    )
    text = text.replace("float[2] bias", "float[1, 1, 1, 3] fixed = {1, 2, 3}, float[2] bias")
    assert opset(load_source(str(save(model, text))).model.graph) == 11
