"""Tensors as the Open Inference Protocol v2 sends them.

A body is a JSON header and, with the binary tensor extension, the bytes of tensors after it: those
whose ``parameters`` give ``binary_data_size``, in the order of the header, little-endian, row by
row. Every other tensor holds its values in ``data``, flat or nested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from serving.answers.intake import load_json
from serving.answers.problems import ProblemError, wrong_options
from serving.protocols.oip_messages import (
    InferRequest,
    InputTensor,
    Parameters,
    RequestedOutput,
    TensorMetadata,
)

_DTYPES = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_ONNX = {  # onnxruntime's names where they differ from numpy's
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}
_NUMPY = {dtype.name: name for name, dtype in _DTYPES.items()}
_NOT_OFFERED = ("classification", "shared_memory_region")


@dataclass(frozen=True)
class Message:
    """A parsed body.

    Attributes:
        header: Its JSON part.
        binary: The bytes after it; empty without the binary extension.
    """

    header: InferRequest
    binary: memoryview


def describe(values: Sequence[Any]) -> list[TensorMetadata]:
    """The metadata of a session's inputs or outputs, as onnxruntime lists them.

    Sequences, maps and strings, which a source model may also give, have no place here.
    """
    described = []
    for value in values:
        element = _ONNX.get(value.type, value.type.removeprefix("tensor(").removesuffix(")"))
        if element in _NUMPY:
            shape = [size if isinstance(size, int) else -1 for size in value.shape]
            described.append(TensorMetadata(name=value.name, datatype=_NUMPY[element], shape=shape))
    return described


def parse(body: bytes, header_length: str | None, *, numbers: int) -> Message:
    """Split a body into header and bytes.

    Args:
        body: The body of the request.
        header_length: The HTTP header ``Inference-Header-Content-Length``: bytes of the JSON
            part; None where the whole body is JSON.
        numbers: Elements of all tensors that the JSON part may hold.

    Returns:
        The message.

    Raises:
        ProblemError: The length is no number within the body, or the JSON is malformed.
    """
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdecimal()) or (
            len(header_length) > 12 or int(header_length) > length
        ):
            raise ProblemError(
                "malformed",
                "Inference-Header-Content-Length: expected a number of bytes up to the "
                f"{length} of the body, got {header_length[:20]!r}.",
            )
        length = int(header_length)
    try:
        header = InferRequest.model_validate(load_json(body[:length], numbers=numbers))
    except ValidationError as error:
        raise wrong_options(error) from error
    return Message(header, memoryview(body)[length:])


def read_inputs(
    message: Message, expected: Sequence[TensorMetadata], max_batch: int
) -> dict[str, NDArray[Any]]:
    """The inputs of a request.

    Args:
        message: The parsed body.
        expected: What the model takes.
        max_batch: Images that one request may hold.

    Returns:
        Every input by name, with its bytes as they were sent.

    Raises:
        ProblemError: An input is unknown, missing, repeated, of another type or shape, or does
            not fill its shape.
    """
    known = {metadata.name: metadata for metadata in expected}
    names = [tensor.name for tensor in message.header.inputs]
    if sorted(names) != sorted(known):
        raise ProblemError("options", f"expected the inputs {sorted(known)}, got {sorted(names)}.")
    feeds, rest = {}, message.binary
    for tensor in message.header.inputs:
        _check(tensor, known[tensor.name], max_batch)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            feeds[tensor.name] = _from_json(tensor, _DTYPES[known[tensor.name].datatype])
        else:
            feeds[tensor.name] = _from_bytes(
                tensor, _DTYPES[known[tensor.name].datatype], rest, size
            )
            rest = rest[int(size) :]
    if len(rest):
        raise ProblemError("options", f"expected no bytes after the last tensor, got {len(rest)}.")
    return feeds


def _check(tensor: InputTensor, expected: TensorMetadata, max_batch: int) -> None:
    if tensor.datatype != expected.datatype:
        raise ProblemError(
            "options",
            f"input {tensor.name!r}: expected the datatype {expected.datatype}, "
            f"got {tensor.datatype!r}.",
        )
    fits = len(tensor.shape) == len(expected.shape) and all(
        size > 0 if wanted == -1 else size == wanted
        for size, wanted in zip(tensor.shape, expected.shape, strict=True)
    )
    if not fits:
        raise ProblemError(
            "options",
            f"input {tensor.name!r}: expected the shape {expected.shape}, got {tensor.shape}.",
        )
    if tensor.shape[0] > max_batch:
        raise ProblemError(
            "too-large",
            f"input {tensor.name!r}: expected at most {max_batch} images, got {tensor.shape[0]}.",
        )
    _refuse_not_offered(f"input {tensor.name!r}", tensor.parameters)


def _from_json(tensor: InputTensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = read_numbers(tensor.data, dtype, f"input {tensor.name!r}")
    if values.size != math.prod(tensor.shape):
        raise ProblemError(
            "options",
            f"input {tensor.name!r}: expected {tensor.shape} to be filled, got {values.size} "
            "values.",
        )
    return values.reshape(tensor.shape)


def read_numbers(data: object, dtype: np.dtype[Any], where: str) -> NDArray[Any]:
    """Nested lists of JSON numbers as an array.

    Args:
        data: The lists.
        dtype: Element type wanted.
        where: Begins the message of an error.

    Returns:
        The array, in the shape of the lists.

    Raises:
        ProblemError: Not numbers, lists of several lengths, or beyond the range of the type.
    """
    # As objects: numpy would give every value the room of the longest string among them.
    try:
        values = np.array(data, dtype=object)
    except ValueError as error:
        raise ProblemError("options", f"{where}: expected data of one shape: {error}.") from error
    kinds = set(map(type, values.flat))
    if list in kinds:
        raise ProblemError("options", f"{where}: expected data of one shape, got ragged lists.")
    if not kinds <= {int, float}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ProblemError("options", f"{where}: expected numbers as data, got {found}.")
    try:
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
    except OverflowError:
        cast = np.full(1, np.nan)
    if not np.isfinite(cast).all():
        raise ProblemError("options", f"{where}: expected values within the range of {dtype.name}.")
    return cast


def _from_bytes(
    tensor: InputTensor, dtype: np.dtype[Any], rest: memoryview, size: bool | int | float | str
) -> NDArray[Any]:
    where = f"input {tensor.name!r}"
    expected = math.prod(tensor.shape) * dtype.itemsize
    if tensor.data is not None:
        raise ProblemError(
            "options", f"{where}: expected either data or binary_data_size, got both."
        )
    if type(size) is not int or size != expected:
        raise ProblemError(
            "options", f"{where}: expected a binary_data_size of {expected}, got {size!r}."
        )
    if len(rest) < size:
        raise ProblemError(
            "options", f"{where}: expected {size} bytes after the header, got {len(rest)}."
        )
    return np.frombuffer(rest[:size], dtype=dtype).reshape(tensor.shape)


def requested(message: Message, offered: Sequence[TensorMetadata]) -> dict[str, bool]:
    """The outputs that a request wants, in its order.

    Args:
        message: The parsed body.
        offered: What the model gives.

    Returns:
        Name -> whether as bytes.

    Raises:
        ProblemError: An output does not exist, is named twice, or is wanted in a form that this
            server does not give.
    """
    known = [metadata.name for metadata in offered]
    default = message.header.parameters.get("binary_data_output", False)
    wanted = message.header.outputs or [RequestedOutput(name=name) for name in known]
    binary = {}
    for output in wanted:
        if output.name not in known or output.name in binary:
            raise ProblemError(
                "options", f"expected each output once, of {known}; got {output.name!r}."
            )
        _refuse_not_offered(f"output {output.name!r}", output.parameters)
        flag = output.parameters.get("binary_data", default)
        if not isinstance(flag, bool):
            raise ProblemError(
                "options", f"output {output.name!r}: expected true or false, got {flag!r}."
            )
        binary[output.name] = flag
    return binary


def _refuse_not_offered(where: str, parameters: Parameters) -> None:
    for name in _NOT_OFFERED:
        if name in parameters:
            raise ProblemError("options", f"{where}: {name} is not offered; the tensor itself is.")


def datatype_of(value: NDArray[Any]) -> str:
    """The protocol's name of an array's element type."""
    return _NUMPY[value.dtype.name]


def encode(
    head: dict[str, Any], values: dict[str, NDArray[Any]], binary: dict[str, bool]
) -> tuple[bytes, int | None]:
    """The body of an answer.

    Args:
        head: What the JSON says beside the outputs.
        values: Every output by name.
        binary: Name -> whether as bytes, in the order of the answer.

    Returns:
        The body, and the bytes of its JSON part where tensors follow it. A float32 in JSON is
        the shortest decimal that reads back to the same 32 bits; NaN and infinity become null.
    """
    outputs, tail = [], []
    for name, as_bytes in binary.items():
        value = np.ascontiguousarray(values[name])
        output: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of(value),
            "shape": list(value.shape),
        }
        if as_bytes:
            tail.append(value.tobytes())
            output["parameters"] = {"binary_data_size": value.nbytes}
        else:
            output["data"] = value.ravel()
        outputs.append(output)
    header = orjson.dumps({**head, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([header, *tail]), len(header) if tail else None
