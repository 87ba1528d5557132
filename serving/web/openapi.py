"""The parts of the OpenAPI description that the routes' signatures do not hold."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from serving.answers import schema
from serving.answers.examples import SMALL_GIF
from serving.answers.problems import MEDIA_TYPE
from serving.model.preprocess import SERVED

_IMAGE = {"type": "string", "format": "binary", "description": f"One of {', '.join(SERVED)}."}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_PROBLEM = {
    "description": "A problem, RFC 9457.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def body(options: type[BaseModel], *, example: dict[str, Any], many: bool = True) -> dict[str, Any]:
    """The three forms of a request's body, and the query's options, for ``openapi_extra``.

    Args:
        options: The options' model.
        example: Options of the JSON example.
        many: Whether one request may hold several images.
    """
    described = options.model_json_schema(by_alias=True)
    definitions = described.pop("$defs", {})
    fields = {name: _inlined(field, definitions) for name, field in described["properties"].items()}
    texts = {name: _as_text(name, field) for name, field in fields.items()}
    required = described.get("required", [])
    images = {"type": "array", "items": _IMAGE, "minItems": 1} if many else _IMAGE
    form = {
        "type": "object",
        "properties": {"image": images, **texts},
        "required": ["image", *required],
    }
    named = {"images": {"type": "array", "items": _BASE64, "minItems": 1}} if many else {}
    plain = {
        "type": "object",
        "properties": {"image": _BASE64, **named, **fields},
        "required": required,
        "oneOf": [{"required": [name]} for name in ("image", *named)],
        "additionalProperties": False,
    }
    sent = {"image": SMALL_GIF, **example}
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": text}
            for name, text in texts.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "image/*": {"schema": _IMAGE},
                "application/json": {"schema": plain, "example": sent},
            },
        },
    }


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A body that is JSON of one model, for ``openapi_extra``."""
    described = model.model_json_schema()
    schema_ = _inlined(described, described.pop("$defs", {}))
    content = {"application/json": {"schema": schema_}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(field: Any, definitions: dict[str, Any]) -> Any:
    """A schema with its definitions in place, so that it may stand anywhere."""
    if isinstance(field, list):
        return [_inlined(item, definitions) for item in field]
    if not isinstance(field, dict):
        return field
    if "$ref" in field:
        return _inlined(definitions[field["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(item, definitions) for name, item in field.items()}


def _as_text(name: str, field: dict[str, Any]) -> dict[str, Any]:
    """How an option is written in a form or a query."""
    description = field.get("description", "")
    if name == "classes":
        return {"type": "array", "items": {"type": "string"}, "description": description}
    if name == "mute":
        item = {"type": "string", "pattern": "^.+:[0-9]+$"}
        return {"type": "array", "items": item, "description": f"{description} As `label:2`."}
    return field


def describe(app: FastAPI, *, closed: bool) -> dict[str, Any]:
    """The whole description: every operation may answer with a problem, in one shape.

    Args:
        app: The application.
        closed: Whether a bearer token is asked for.
    """
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = schema.Problem.model_json_schema()
        for operations in described["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # FastAPI's own shape is never sent
                operation["responses"]["default"] = _PROBLEM
        if closed:
            described["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"}
            }
            described["security"] = [{"token": []}]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = described
    return app.openapi_schema
