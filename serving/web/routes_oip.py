"""The routes of the Open Inference Protocol v2."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

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

LENGTH = "Inference-Header-Content-Length"
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            LENGTH: {
                "description": "Bytes of the JSON part, where tensors follow it as bytes.",
                "schema": {"type": "integer"},
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
    body = json_body(InferRequest)
    body["requestBody"]["content"]["application/octet-stream"] = {
        "schema": {"type": "string", "format": "binary"}
    }

    def served(name: str, version: str = VERSION) -> Served:
        require_version(version)
        return host.answerer_named(name).served

    @routes.get("/health/live")
    async def live() -> Live:
        """Whether the process answers."""
        return Live()

    @routes.get("/health/ready")
    async def ready() -> Ready:
        """Whether the model answers; 503 while it is loaded, or no thread is left."""
        host.require_ready()
        return Ready()

    @routes.get("")
    async def server(request: Request) -> ServerMetadata:
        """Name, version and extensions of the server."""
        return ServerMetadata(version=request.app.version)

    @routes.get("/models/{name}")
    async def model(name: str) -> ModelMetadata:
        """What the model takes and gives."""
        return describe(served(name))

    @routes.get("/models/{name}/versions/{version}")
    async def model_version(name: str, version: str) -> ModelMetadata:
        """What the model takes and gives."""
        return describe(served(name, version))

    @routes.get("/models/{name}/ready")
    async def model_ready(name: str) -> Ready:
        """Whether the model answers."""
        served(name)
        return Ready()

    @routes.get("/models/{name}/versions/{version}/ready")
    async def model_version_ready(name: str, version: str) -> Ready:
        """Whether the model answers."""
        served(name, version)
        return Ready()

    @routes.post(
        "/models/{name}/infer",
        response_model=InferResponse,
        responses=_BINARY,
        openapi_extra=body,
    )
    async def infer_(name: str, request: Request) -> Response:
        """Every output of the graph, or those asked for, for preprocessed input tensors."""
        return await answer(name, VERSION, request)

    @routes.post(
        "/models/{name}/versions/{version}/infer",
        response_model=InferResponse,
        responses=_BINARY,
        openapi_extra=body,
    )
    async def infer_version(name: str, version: str, request: Request) -> Response:
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
