"""The JSON of the Open Inference Protocol v2, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema
from typing_extensions import TypeAliasType

Name = Annotated[str, Field(max_length=256)]
ParameterValue = TypeAliasType("ParameterValue", bool | int | float | Name)
"""What a parameter may be."""
Parameters = dict[Name, ParameterValue]


class InputTensor(BaseModel):
    """A tensor that a client sends."""

    name: Name
    shape: list[int] = Field(max_length=8)
    datatype: Name
    parameters: Parameters = {}
    data: Annotated[
        Any,
        WithJsonSchema(
            {"type": "array", "items": {}, "description": "Its numbers, flat or as nested lists."}
        ),
    ] = None


class RequestedOutput(BaseModel):
    """An output that a client wants; ``parameters.binary_data`` asks for bytes."""

    name: Name
    parameters: Parameters = {}


class InferRequest(BaseModel):
    """The JSON header of a request; without ``outputs`` it asks for all of them."""

    id: Name | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=8)
    outputs: list[RequestedOutput] = Field(default=[], max_length=64)
    parameters: Parameters = {}


class TensorMetadata(BaseModel):
    """Name, element type and shape of an input or output; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class Live(BaseModel):
    """The process answers."""

    live: bool = True


class Ready(BaseModel):
    """The model answers."""

    ready: bool = True


class ServerMetadata(BaseModel):
    """Who answers, and which extensions of the protocol it speaks."""

    name: str = "protohead"
    version: str
    extensions: list[str] = ["binary_tensor_data"]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: list[str] = ["1"]
    platform: str = "onnxruntime_onnx"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """An output: its values, or in parameters the size of its bytes after the header."""

    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """The JSON header of an answer."""

    model_name: str
    model_version: str = "1"
    id: str | None = None
    outputs: list[OutputTensor]
