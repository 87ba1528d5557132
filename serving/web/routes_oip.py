"""The routes of the Open Inference Protocol v2."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from serving.process.live import Served
from serving.protocols.oip import VERSION, describe, infer_json, require_version
from serving.protocols.oip_messages import (
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    Ready,
    ServerMetadata,
)
from serving.web.host import Host
from serving.web.openapi import json_body
from serving.web.packing import respond

# A pattern, not an enumeration, of which generators of clients make a type with one member; and for
# the description alone: another version is a path that does not exist.
Version = Annotated[str, Path(json_schema_extra={"pattern": f"^{VERSION}$"})]
LENGTH = "Inference-Header-Content-Length"
_LENGTH = {"type": "integer", "minimum": 0}
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            LENGTH: {
                "description": "Bytes of the JSON part, where tensors follow it as bytes.",
                "schema": _LENGTH,
            }
        },
    }
}


def router(host: Host) -> APIRouter:
    """The routes under ``/v2``.

    Args:
        host: The application that mounts them.

    Returns:
        Health, metadata and ``infer``, with and without a version in the path.
    """
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    described = json_body(InferRequest)
    described["requestBody"]["content"]["application/octet-stream"] = {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": f"The same JSON, `{LENGTH}` bytes of it, and the bytes of the tensors.",
        }
    }
    described["parameters"].append(
        {"name": LENGTH, "in": "header", "required": False, "schema": _LENGTH}
    )

    def served(name: str, version: str = VERSION) -> Served:
        require_version(version)
        return host.answerer_named(name).served

    @routes.get("/health/live", operation_id="server_live")
    async def live() -> Live:
        """Whether the process answers."""
        return Live()

    @routes.get("/health/ready", operation_id="server_ready")
    async def ready() -> Ready:
        """Whether the model answers; 503 while it is loaded, or no thread is left."""
        host.require_ready()
        return Ready()

    @routes.get("", operation_id="server_metadata")
    async def server(request: Request) -> ServerMetadata:
        """Name, version and extensions of the server."""
        return ServerMetadata(version=request.app.version)

    @routes.get("/models/{name}", operation_id="model_metadata")
    async def model(name: str) -> ModelMetadata:
        """What the model takes and gives."""
        return describe(served(name))

    @routes.get("/models/{name}/versions/{version}", operation_id="model_version_metadata")
    async def model_version(name: str, version: Version) -> ModelMetadata:
        """What the model takes and gives."""
        return describe(served(name, version))

    @routes.get("/models/{name}/ready", operation_id="model_ready")
    async def model_ready(name: str) -> Ready:
        """Whether the model answers."""
        served(name)
        return Ready()

    @routes.get("/models/{name}/versions/{version}/ready", operation_id="model_version_ready")
    async def model_version_ready(name: str, version: Version) -> Ready:
        """Whether the model answers."""
        served(name, version)
        return Ready()

    @routes.post(
        "/models/{name}/infer",
        operation_id="infer",
        response_model=InferResponse,
        responses=_BINARY,
        openapi_extra=described,
    )
    async def infer_(name: str, request: Request) -> Response:
        """Every output of the graph, or those asked for, for preprocessed input tensors."""
        return await answer(name, VERSION, request)

    @routes.post(
        "/models/{name}/versions/{version}/infer",
        operation_id="infer_version",
        response_model=InferResponse,
        responses=_BINARY,
        openapi_extra=described,
    )
    async def infer_version(name: str, version: Version, request: Request) -> Response:
        """Every output of the graph, or those asked for, for preprocessed input tensors."""
        return await answer(name, version, request)

    async def answer(name: str, version: str, request: Request) -> Response:
        served(name, version)
        content = await host.read(request)
        length = request.headers.get(LENGTH)
        answerer = host.answerer_named(name)  # its time begins now
        accepted = request.headers.get("accept-encoding", "")

        def work() -> Response:
            found, json_length = infer_json(answerer, content, length, max_batch=host.max_images)
            if json_length is None:
                return respond(found, accepted, "application/json")
            return respond(found, accepted, "application/octet-stream", {LENGTH: str(json_length)})

        return await host.analyse(answerer, request.state.names, work)

    return routes
