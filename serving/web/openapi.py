"""The parts of the OpenAPI description that the routes' signatures do not hold.

It is written for readers and for generators of clients. These take the first media type of a body
for the usual one, a named schema for a class, and send the default of every parameter: so JSON
comes first, its schemas have names, and an option has one place, the body. What
openapi-python-client (0.29) makes of several media types cannot be imported unless the operation
has an optional parameter; the trace is one.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.answers import schema
from serving.answers.examples import SMALL_GIF
from serving.answers.problems import MEDIA_TYPE
from serving.answers.requests import ContrastRequest, ExplainRequest, PredictRequest
from serving.model.preprocess import SERVED
from serving.process.settings import Settings
from serving.protocols.kserve import ExplainInstances, PredictInstances
from serving.protocols.oip_messages import InferRequest

_REF = "#/components/schemas/{model}"
_BODIES = (
    PredictRequest,
    ExplainRequest,
    ContrastRequest,
    PredictInstances,
    ExplainInstances,
    InferRequest,
)
_IMAGE = {"type": "string", "format": "binary", "description": f"One of {', '.join(SERVED)}."}
_BARE = {
    **_IMAGE,
    "description": f"{_IMAGE['description']} Options are then parameters of the query, named and "
    "written like the fields of the form: `?top=3`.",
}
_TEXTS: dict[str, dict[str, Any]] = {
    "classes": {"items": {"type": "string"}},
    # Fewer than in JSON: each is a part of the form, of which there may be intake.MAX_FIELDS.
    "mute": {
        "items": {"type": "string", "pattern": "^.+:[0-9]+$"},
        "maxItems": schema.MAX_LISTED // 2,
    },
}
_TRACE = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C Trace Context; the id of the trace is in the line of the log.",
    "schema": {"type": "string"},
}
_PROBLEM = {
    "description": "A problem, RFC 9457.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
}


def image_body(
    model: type[BaseModel], example: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    """The forms of a body with an image, for ``openapi_extra``.

    A bare image has no place for options that are required, so it is described without them only.

    Args:
        model: One of the requests of serving/answers/requests.py.
        example: Options of the JSON example.
        settings: The limits of a request.
    """
    described = json_body(model, {"image": SMALL_GIF, **example})
    content = described["requestBody"]["content"]
    content["multipart/form-data"] = {"schema": _form(model, settings)}
    if not any(field.is_required() for field in model.model_fields.values()):
        for kind in ("image/*", "application/octet-stream"):
            content[kind] = {"schema": _BARE}
    return described


def json_body(model: type[BaseModel], example: dict[str, Any] | None = None) -> dict[str, Any]:
    """A body that is JSON of one model, for ``openapi_extra``.

    Args:
        model: One of those that :func:`describe` knows.
        example: A body that every server answers, if there is one.
    """
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=model.__name__)}}
    if example:
        content["example"] = example
    body = {"required": True, "content": {"application/json": content}}
    return {"parameters": [_TRACE], "requestBody": body}


def _bodies(settings: Settings) -> dict[str, Any]:
    """The schemas of all bodies, by name."""
    described = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_REF)
    schemas: dict[str, Any] = _without_null(described[1]["$defs"])
    for found in schemas.values():
        _limit(found.get("properties", {}), settings)
    return schemas


def _limit(fields: dict[str, Any], settings: Settings) -> None:
    """Write into the fields of a body what the settings allow."""
    most = {
        "images": settings.max_images,
        "instances": settings.max_images,
        "classes": min(settings.max_classes, schema.MAX_LISTED),
    }
    for name in most.keys() & fields.keys():
        fields[name]["maxItems"] = most[name]


def _without_null(node: Any) -> Any:
    """A schema in which an option without a default is left out, not null.

    Null says the same, but clients made from it would have one more value to write.
    """
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _without_null(item) for name, item in node.items()}
    if {"type": "null"} in node.get("anyOf", ()):
        kept = [item for item in node.pop("anyOf") if item != {"type": "null"}]
        node = {**kept[0], **node} if len(kept) == 1 else {"anyOf": kept, **node}
    if node.get("default", ...) is None:
        del node["default"]
    return node


def _form(model: type[BaseModel], settings: Settings) -> dict[str, Any]:
    """The form that says what a JSON body says: files, and options as text.

    Without a name: of one that has a name openapi-generator imports a class that it does not write.
    """
    described = _without_null(model.model_json_schema(ref_template=_REF))
    fields = described["properties"]
    _limit(fields, settings)
    files = {"type": "array", "items": _IMAGE, "minItems": 1, "maxItems": settings.max_images}
    texts = {
        name: _as_text(name, field)
        for name, field in fields.items()
        if name not in ("image", "images")
    }
    form = {
        "type": "object",
        "properties": {"image": files if "images" in fields else _IMAGE, **texts},
        "required": ["image", *(name for name in described.get("required", ()) if name in texts)],
        "additionalProperties": False,
    }
    return form | {name: described[name] for name in ("not",) if name in described}


def _as_text(name: str, field: dict[str, Any]) -> dict[str, Any]:
    """How an option is written in a form or a query."""
    if name in _TEXTS:
        field = {**field, **_TEXTS[name]}
        field.pop("default", None)
        if name == "mute":
            field["description"] += " As `label:2`."
    elif field.get("$ref", "").endswith("/ClassKey"):
        field = {"type": "string", "description": field["description"]}
    return field


def describe(app: FastAPI, *, name: str | None, settings: Settings) -> dict[str, Any]:
    """The whole description: every operation may answer with a problem, in one shape.

    Args:
        app: The application.
        name: The model's name, the example for paths that hold one; None before it is loaded.
        settings: The limits of a request, and whether it needs a token.
    """
    described = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_bodies(settings))
    schemas["Problem"] = schema.Problem.model_json_schema()
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's own shape is never sent
            # Not "default": a client that cannot read a JPEG would read it as a problem.
            operation["responses"] |= {"4XX": _PROBLEM, "5XX": _PROBLEM}
            for parameter in operation.get("parameters", ()):
                if name is not None and (parameter["name"], parameter["in"]) == ("name", "path"):
                    parameter["example"] = name
    if settings.tokens is not None:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return described
