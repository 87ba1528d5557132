"""The messages of the Open Inference Protocol over gRPC, to and from those over HTTP.

``open_inference_grpc.proto`` is the specification's own file, ``open_inference_grpc.binpb`` its
descriptors as protoc writes them. They live in a pool of their own: other packages, Triton's client
among them, register messages of the same names in the one that all share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray
from pydantic import ValidationError

from serving.answers.problems import ProblemError, wrong_options
from serving.protocols import oip_tensors as tensors
from serving.protocols.oip_messages import InferRequest, ModelMetadata

SERVICE = "inference.GRPCInferenceService"
MAX_AROUND = 2**16
"""Bytes of a request beside its tensors."""
MAX_FIELDS = 1000
"""Fields of a request, where they are counted one by one."""

# Where a request holds tensors: the number of each field on the way from ModelInferRequest.
_TENSORS = frozenset[tuple[int, ...]](((7,), (5, 5, 6), (5, 5, 7)))
_ON_THE_WAY = frozenset[tuple[int, ...]](((5,), (5, 5)))
_FILES = FileDescriptorSet.FromString(
    Path(__file__).with_name("open_inference_grpc.binpb").read_bytes()
)


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in _FILES.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def message(name: str) -> type[Any]:
    """The class of a message of the protocol."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))


def read(name: str, content: bytes) -> Any:
    """Parse a message.

    Raises:
        ProblemError: It is malformed, or would take many times its bytes once parsed.
    """
    around = len(content)
    if name == "ModelInferRequest":
        around -= sum(_bulk(memoryview(content)))
    if around > MAX_AROUND:
        raise ProblemError(
            "too-large", f"expected at most {MAX_AROUND} bytes beside tensors, got {around}."
        )
    try:
        return message(name).FromString(content)
    except DecodeError as error:
        raise _malformed() from error


def _bulk(content: memoryview) -> Iterator[int]:
    """The sizes of the tensors in a request, whose parsing costs no more than their bytes.

    Everything else may grow: an empty message of two bytes is a hundred once it is parsed.
    """
    left = MAX_FIELDS
    waiting: list[tuple[tuple[int, ...], memoryview]] = [((), content)]
    while waiting:
        path, part = waiting.pop()
        at = 0
        while at < len(part):
            left -= 1
            if left < 0:
                raise ProblemError("too-large", f"expected at most {MAX_FIELDS} fields.")
            key, at = _varint(part, at)
            field, kind = (*path, key >> 3), key & 7
            if kind == 2:
                size, at = _varint(part, at)
                if size > len(part) - at:
                    raise _malformed()
                if field in _TENSORS:
                    yield size
                elif field in _ON_THE_WAY:
                    waiting.append((field, part[at : at + size]))
                at += size
            elif kind == 0:
                _, at = _varint(part, at)
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                raise _malformed()


def _varint(part: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(part):
            break
        value |= (part[at] & 127) << shift
        at += 1
        if not part[at - 1] & 128:
            return value, at
    raise _malformed()


def _malformed() -> ProblemError:
    return ProblemError("malformed", "expected a message of the Open Inference Protocol.")


def to_message(request: Any, *, numbers: int) -> tensors.Message:
    """A request as one over HTTP would be: raw contents are the binary extension's bytes.

    Args:
        request: A ``ModelInferRequest``.
        numbers: Elements of all tensors that it may hold as typed contents.

    Raises:
        ProblemError: Contents are missing, of another type, or too many.
    """
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise ProblemError(
            "options",
            f"expected raw contents for each of {len(request.inputs)} inputs, got {len(raw)}.",
        )
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "parameters": _parameters(tensor.parameters),
        }
        for tensor in request.inputs
    ]
    for number, described in enumerate(inputs):
        if raw:
            described["parameters"]["binary_data_size"] = len(raw[number])
        else:
            found = request.inputs[number].contents
            values = found.fp64_contents or found.fp32_contents
            numbers -= len(values)
            if numbers < 0:
                raise ProblemError("too-large", "expected fewer values in the inputs' contents.")
            described["data"] = list(values)
    outputs = [
        {"name": wanted.name, "parameters": _parameters(wanted.parameters)}
        for wanted in request.outputs
    ]
    try:
        header = InferRequest.model_validate(
            {
                "id": request.id or None,
                "inputs": inputs,
                "outputs": outputs,
                "parameters": _parameters(request.parameters),
            }
        )
    except ValidationError as error:
        raise wrong_options(error) from error
    return tensors.Message(header, memoryview(b"".join(raw)))


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in given.items()
    }


def from_values(name: str, version: str, id_: str, values: Mapping[str, NDArray[Any]]) -> bytes:
    """The answer to a request: every output as raw bytes, little-endian, row by row."""
    answer = message("ModelInferResponse")(model_name=name, model_version=version, id=id_)
    for output, value in values.items():
        datatype = tensors.datatype_of(value)
        answer.outputs.add(name=output, datatype=datatype, shape=value.shape)
        answer.raw_output_contents.append(np.ascontiguousarray(value).tobytes())
    content: bytes = answer.SerializeToString()
    return content


def from_metadata(metadata: ModelMetadata) -> bytes:
    """What the model takes and gives."""
    answer = message("ModelMetadataResponse")(**metadata.model_dump())
    content: bytes = answer.SerializeToString()
    return content
