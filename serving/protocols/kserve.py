"""The verbs of KServe's protocol v1: instances in, predictions or explanations out.

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol.
An instance is an image in base64, ``{"image": {"b64": "..."}}`` or ``{"b64": "..."}``, or a
preprocessed tensor as nested lists. ``parameters`` holds the options of ``/v1/predict`` or
``/v1/explain``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from serving.answers.answerer import Answerer, Picture, dump
from serving.answers.examples import SMALL_GIF
from serving.answers.intake import decode_base64, load_json, refuse_other_formats
from serving.answers.problems import ProblemError, wrong_options
from serving.answers.schema import Explained, ExplainOptions, Prediction, PredictOptions
from serving.artifact import Preprocessing
from serving.artifact.layout import image_shape
from serving.protocols.oip_tensors import read_numbers

_Options = TypeVar("_Options", bound=BaseModel)


EXAMPLE = {"instances": [{"image": {"b64": SMALL_GIF}}], "parameters": {"top": 1}}
"""A request."""


class Instances(BaseModel):
    """A request as it is read: what each instance is, and the options, show later."""

    instances: list[Any] = Field(min_length=1)
    parameters: dict[str, Any] = {}


_ENCODED = {
    "type": "object",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}
_UNDER_ITS_NAME = {
    "type": "object",
    "properties": {"image": _ENCODED},
    "required": ["image"],
    "additionalProperties": False,
}
_ROW = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_PLANE = {"type": "array", "items": _ROW, "minItems": 1}
# No anyOf or oneOf of the three: TypeScript's generators would make a type that has the fields of
# all of them, or a writer that loses lists. Of this they make `any`.
_INSTANCE = {
    "description": 'An image in base64, `{"image": {"b64": "..."}}` or `{"b64": "..."}`; or a '
    "preprocessed tensor as nested lists, in the layout of the model, without the batch axis.",
    "if": {"type": "array"},
    "then": {"type": "array", "items": _PLANE, "minItems": 1},
    "else": {"anyOf": [_ENCODED, _UNDER_ITS_NAME]},
}


class _DescribedInstances(BaseModel):
    instances: list[Annotated[Any, WithJsonSchema(_INSTANCE)]] = Field(min_length=1)


class PredictInstances(_DescribedInstances):
    """A request of ``:predict``, for the description."""

    parameters: PredictOptions | None = None


class ExplainInstances(_DescribedInstances):
    """A request of ``:explain``, for the description."""

    parameters: ExplainOptions | None = None


class ModelNames(BaseModel):
    """The models that are served: one."""

    models: list[str]


class ModelState(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool = True


class Predictions(BaseModel):
    """One prediction for each instance, in order."""

    predictions: list[Prediction]


class Explanations(Predictions):
    """One explanation for each instance, in order, and the predictions in them."""

    explanations: list[Explained]


def parse(body: bytes, *, numbers: int) -> Instances:
    """Read a request.

    Args:
        body: Its body.
        numbers: Elements of all tensors that it may hold.

    Raises:
        ProblemError: Not JSON, or not of this shape.
    """
    try:
        return Instances.model_validate(load_json(body, numbers=numbers))
    except ValidationError as error:
        raise wrong_options(error) from error


def predict(answerer: Answerer, request: Instances, max_images: int) -> bytes:
    """The answer of ``:predict``.

    Raises:
        ProblemError: An instance or an option is wrong.
    """
    options = _options(PredictOptions, request)
    pictures = _pictures(answerer, request, max_images)
    return dump({"predictions": answerer.predictions(pictures, options)})


def explain(answerer: Answerer, request: Instances, max_images: int) -> bytes:
    """The answer of ``:explain``.

    Raises:
        ProblemError: An instance or an option is wrong.
    """
    options = _options(ExplainOptions, request)
    explanations = answerer.explanations(_pictures(answerer, request, max_images), options)
    scores = ("id", "label", "logit", "probability")
    predictions = [
        {"classes": [{name: score[name] for name in scores} for score in explained["classes"]]}
        for explained in explanations
    ]
    return dump({"predictions": predictions, "explanations": explanations})


def _options(model: type[_Options], request: Instances) -> _Options:
    try:
        return model.model_validate(request.parameters)
    except ValidationError as error:
        raise wrong_options(error) from error


def _pictures(answerer: Answerer, request: Instances, max_images: int) -> list[Picture]:
    count = len(request.instances)
    if count > max_images:
        raise ProblemError("too-large", f"expected at most {max_images} instances, got {count}.")
    preprocessing = answerer.served.predictor.manifest.input.preprocessing
    return [
        _picture(instance, preprocessing, f"instances.{number}")
        for number, instance in enumerate(request.instances)
    ]


def _picture(instance: object, preprocessing: Preprocessing, where: str) -> Picture:
    if isinstance(instance, dict) and instance.keys() == {"image"}:
        instance = instance["image"]
    if isinstance(instance, dict) and instance.keys() == {"b64"}:
        image = decode_base64(instance["b64"], where)
        refuse_other_formats(image)
        return image
    if isinstance(instance, list):
        return _tensor(instance, preprocessing, where)
    raise ProblemError(
        "options", f'{where}: expected {{"image": {{"b64": "..."}}}} or a tensor as nested lists.'
    )


def _tensor(data: object, preprocessing: Preprocessing, where: str) -> NDArray[np.float32]:
    shape = image_shape(preprocessing.layout, len(preprocessing.channels), preprocessing.size)
    tensor = read_numbers(data, np.dtype(np.float32), where)
    if tensor.shape != shape:
        raise ProblemError(
            "options", f"{where}: expected a tensor of the shape {shape}, got {tensor.shape}."
        )
    return tensor
