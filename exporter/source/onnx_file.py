"""A model in any form becomes an ONNX graph in memory.

A torch model is exported first. Nothing a file says is trusted: its external data must lie beside
it, every tensor must have the bytes its shape asks for, and everything is in memory before it is
used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, Message
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_tensor,
    uses_external_data,
)

from exporter.errors import MissingExtraError, SourceError
from exporter.graph.measured import declare_outputs
from exporter.graph.read import attribute, free_sizes, is_stored
from exporter.source.graph_session import digest as digest_of
from exporter.source.graph_session import own_arrays, with_new_opset
from exporter.source.own import Own, as_size
from exporter.text import as_text

# The limit of one protobuf message. An artifact's model.onnx is one file, so larger models are
# refused when they are read, not after the work.
_MESSAGE_LIMIT = 2**31 - 1
_CHUNK = 1 << 20
_SILENT = Own()
Kind = Literal["float32", "uint8"]
_KINDS: dict[ir.DataType | None, Kind] = {ir.DataType.FLOAT: "float32", ir.DataType.UINT8: "uint8"}


@dataclass(frozen=True)
class ModelInput:
    """The image input of a graph.

    Attributes:
        name: Its name.
        shape: Its four axes, (b, d, h, w) or (b, h, w, d); None where the size is free.
        dtype: NumPy's name of its type; ``uint8`` takes pixels as they are.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: Kind


@dataclass(frozen=True)
class Source:
    """A trained classifier as an ONNX graph.

    Attributes:
        name: File name for the manifest, never a path.
        model: The graph, every weight in memory.
        sha256: Hex digest of the ONNX file's bytes, followed by those of its external data files
            in the order of their locations; of a torch model, of the exported graph.
        input: The one image input.
        own: What the model says of its preprocessing and labels; an ONNX file says nothing.
        output: The graph output with the logits, where the file has several.
        older: The graph as its file has it, where ``model`` is that converted to a newer opset.
    """

    name: str
    model: ir.Model
    sha256: str
    input: ModelInput
    own: Own = _SILENT
    output: str | None = None
    older: ir.Model | None = None

    @property
    def original(self) -> ir.Model:
        """The graph that an artifact has to answer like."""
        return self.older or self.model


def load_source(
    model: object,
    *,
    weights: Path | None = None,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    output: str | None = None,
) -> Source:
    """Read a classifier in any supported form.

    Args:
        model: Path of an ``.onnx`` file; ``package.module:name`` or ``file.py:name``, a
            ``torch.nn.Module`` or what returns one (the current folder is importable);
            ``timm:NAME`` with ``weights``; ``hf:FOLDER``, a classifier of transformers on disk; or
            a ``torch.nn.Module`` itself.
        weights: Weights for a torch model: ``.safetensors``, shards with their index, or a
            state dict or checkpoint that ``torch.save`` wrote.
        input_size: (height, width) in pixels at which a torch model is exported; by default what
            the model's own configuration says, else 224 x 224.
        channels: Channels of a torch model's images, 1 for greyscale; by default what its
            configuration says, else 3.
        output: The output with the logits, where there are several: a name, or for a torch model
            an index.

    Returns:
        The classifier as an ONNX graph.

    Raises:
        SourceError: The model cannot be read, has not one image input, or cannot become an ONNX
            graph that computes the same.
        MissingExtraError: A torch model is given and torch is not installed.
    """
    if isinstance(model, Path):
        model = str(model)
    if isinstance(model, str) and model.endswith(".onnx"):
        if weights is not None or input_size is not None or channels is not None:
            raise SourceError(
                f"{model}: an ONNX file carries its weights and its input size; "
                "`weights`, `input_size` and `channels` are for torch models. Leave them out."
            )
        return replace(_read_file(Path(model)), output=output)
    if isinstance(model, str) and ":" not in model:
        raise SourceError(
            f"{model}: expected a path that ends in .onnx, package.module:callable, "
            f"file.py:callable, timm:NAME or hf:FOLDER{_hint(model)}"
        )
    return _load_torch(model, weights, input_size, channels, output)


def _hint(model: str) -> str:
    """What is meant, as far as a path tells it."""
    path = Path(model)
    if path.is_dir():
        return f". A folder of transformers is given as hf:{model}"
    if path.suffix == ".py":
        return f". Name what builds the model: {model}:NAME"
    if path.is_file():
        return ". Weights alone are no model: give what builds it, and this file as `weights`"
    return ""


def _load_torch(
    model: object,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    channels: int | None,
    output: str | None,
) -> Source:
    where = model if isinstance(model, str) else type(model).__name__
    try:
        from exporter.source.torch_model import TorchOptions, export_torch
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{where}: reading a torch model needs {error.name}, which is not installed. Run: "
            "pip install 'protohead[torch]'"
        ) from error
    size = as_size(input_size)
    if size is None and input_size is not None:
        raise SourceError(f"`input_size`: expected (height, width) in pixels, got {input_size!r}.")
    if channels not in (None, 1, 3):
        raise SourceError(f"`channels`: expected 1 or 3, got {channels!r}.")
    options = TorchOptions(weights, size, channels, output)
    name, graph, own = export_torch(model, options)
    return Source(name, graph, digest_of(graph), _image_input(graph, where), own)


def _read_file(path: Path) -> Source:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise SourceError(f"{path}: expected an ONNX file, found {found}. Check the path.")
    _check_total(path.stat().st_size, str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    proto = _parse(data, str(path))
    digest = hashlib.sha256(data)
    del data  # the message holds the weights, and they are large
    for file in _load_external_data(proto, path):
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    graph = _to_graph(proto, str(path))
    taken = _image_input(graph, str(path))
    raised = with_new_opset(graph, str(path))
    older = None if raised is graph else graph
    return Source(as_text(path.name), raised, digest.hexdigest(), taken, older=older)


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise SourceError(
            f"{where}: not an ONNX file, or a truncated one: {error}. Export it again."
        ) from error
    if not proto.graph.node or not proto.opset_import:
        raise SourceError(
            f"{where}: expected an ONNX model with nodes and an opset, found "
            f"{len(proto.graph.node)} nodes and {len(proto.opset_import)} opsets. "
            "It is not an ONNX model, or truncated; export it again."
        )
    return proto


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Every tensor anywhere in a model: initializers, attributes, subgraphs, functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if isinstance(value, Message) else value:
                yield from _tensors(item)


def _load_external_data(proto: onnx.ModelProto, path: Path) -> list[Path]:
    """Move external data into the model; return its files in the order of their locations."""
    folder = path.parent.resolve()
    files: dict[str, Path] = {}
    tensors = [tensor for tensor in _tensors(proto) if uses_external_data(tensor)]
    for tensor in tensors:
        try:
            location = ExternalDataInfo(tensor).location
            files[location] = _data_file(location, folder, path)
        except (OSError, ValueError) as error:  # an offset or a name that can be none
            raise SourceError(
                f"{path}: external data of {tensor.name!r}: {error}. Export the model again."
            ) from error
    _check_total(path.stat().st_size + sum(f.stat().st_size for f in files.values()), str(path))
    for tensor in tensors:
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise SourceError(f"{path}: external data of {tensor.name!r}: {error}") from error
    return [files[location] for location in sorted(files)]


def _data_file(location: str, folder: Path, path: Path) -> Path:
    file = folder / location
    outside = (
        PurePosixPath(location).is_absolute()
        or PureWindowsPath(location).is_absolute()
        or ".." in PureWindowsPath(location).parts  # splits at both kinds of slash
        or not file.resolve().is_relative_to(folder)
    )
    if outside:
        raise SourceError(
            f"{path}: its external data {location!r} lies outside the model's folder, which is "
            "refused. Put copies (not links) of the model and its data into one folder."
        )
    if not file.is_file():
        raise SourceError(
            f"{path}: its external data {location!r} is missing. Put the file beside the model."
        )
    return file


def _check_total(size: int, where: str) -> None:
    if size > _MESSAGE_LIMIT:
        raise SourceError(
            f"{where}: {size / 2**30:.1f} GiB with its weights; an artifact is one ONNX file, "
            "which cannot exceed 2 GiB. Export the model with fewer or smaller weights."
        )


def _to_graph(proto: onnx.ModelProto, where: str) -> ir.Model:
    for tensor in _tensors(proto):
        try:
            onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(
                f"{where}: tensor {tensor.name!r} does not hold the data its shape "
                f"{list(tensor.dims)} and type ask for: {error}. Export the model again."
            ) from error
    try:
        # onnx-ir makes up values that no node computes; the checker names them.
        onnx.checker.check_model(_without_weights(proto))
        model = ir.from_proto(proto)
    except Exception as error:  # a damaged file fails anywhere in the deserialisation
        why = " ".join(str(error).split())  # the checker prints nodes over several lines
        erfc = "No Op registered for Erfc" in why  # tf2onnx leaves TensorFlow's own
        again = "with Keras' GELU of `approximate=True`, which has no Erfc" if erfc else "again"
        raise SourceError(f"{where}: not a valid ONNX graph: {why} Export it {again}.") from error
    own_arrays(model)
    free_sizes(model)
    declare_outputs(model)
    for node in model.graph:
        training = node.op_type == "BatchNormalization" and attribute(node, "training_mode", 0)
        if training and not is_stored(node.inputs[0]):  # that of a weight standardises it
            raise SourceError(
                f"{where}: BatchNormalization ({node.name!r}) is in training mode, so the logits "
                "of an image depend on the rest of its batch. Export the model in eval mode."
            )
    return model


def _without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """What the checker is given of a model.

    Large initializers are inputs there: it would copy them twice. Outputs all have a type and a
    shape: it asks for them, no runtime does.
    """
    large = [t for t in proto.graph.initializer if len(t.raw_data) > _CHUNK]
    bare = onnx.ModelProto(ir_version=proto.ir_version)
    bare.opset_import.extend(proto.opset_import)
    bare.functions.extend(proto.functions)
    names = {tensor.name for tensor in large}
    graph = proto.graph
    bare.graph.name = graph.name
    bare.graph.node.extend(graph.node)
    bare.graph.output.extend(
        onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, [])
        for value in graph.output
    )
    bare.graph.value_info.extend(graph.value_info)
    bare.graph.input.extend(value for value in graph.input if value.name not in names)
    bare.graph.input.extend(
        onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large
    )
    bare.graph.initializer.extend(t for t in graph.initializer if t.name not in names)
    bare.graph.sparse_initializer.extend(graph.sparse_initializer)
    return bare


def _image_input(model: ir.Model, where: str) -> ModelInput:
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs) or "none"
        raise SourceError(
            f"{where}: expected one image input, found {len(inputs)}: {names}. Export the model "
            "with the others fixed to constants; of Keras a SavedModel, and tf2onnx of that."
        )
    (value,) = inputs
    if value.dtype not in _KINDS:
        found = f"{where}: expected a float32 or uint8 input, found {value.dtype}"
        raise SourceError(f"{found} ({value.name!r}). Export the model in float32.")
    if value.shape is None or len(value.shape) != 4:
        raise SourceError(
            f"{where}: expected an image input (batch, channels, height, width) or (batch, "
            f"height, width, channels), found the shape {value.shape} ({value.name!r}). Export "
            "the model with a four-dimensional image input."
        )
    shape = tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in value.shape)
    return ModelInput(str(value.name), shape, _KINDS[value.dtype])
