"""The routes of KServe's protocol v1."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from serving.answers.answerer import Answerer
from serving.protocols.kserve import (
    EXAMPLE,
    ExplainInstances,
    Explanations,
    Instances,
    ModelNames,
    ModelState,
    PredictInstances,
    Predictions,
    explain,
    parse,
    predict,
)
from serving.web.host import Host
from serving.web.openapi import json_body
from serving.web.packing import respond


def router(host: Host) -> APIRouter:
    """The routes under ``/v1/models``.

    Args:
        host: The application that mounts them.

    Returns:
        The list of models, their state, ``:predict`` and ``:explain``.
    """
    routes = APIRouter(prefix="/v1/models", tags=["KServe v1"])

    async def answer(
        name: str, request: Request, verb: Callable[[Answerer, Instances, int], bytes]
    ) -> Response:
        host.answerer_named(name)
        body = await host.read(request)
        answerer = host.answerer_named(name, request.state.prefix)  # its time begins now
        numbers = host.max_images * answerer.served.predictor.input_elements
        accepted = request.headers.get("accept-encoding", "")

        def work() -> Response:
            content = verb(answerer, parse(body, numbers=numbers), host.max_images)
            return respond(content, accepted, "application/json")

        return await host.analyse(answerer, request.state.names, work)

    @routes.get("", operation_id="list_models")
    async def models() -> ModelNames:
        """The models that are served."""
        return ModelNames(models=[host.answerer().served.name])

    @routes.post(
        "/{name}:predict",
        operation_id="predict_instances",
        response_model=Predictions,
        openapi_extra=json_body(PredictInstances, EXAMPLE),
    )
    async def predict_(name: str, request: Request) -> Response:
        """The best classes of each instance."""
        return await answer(name, request, predict)

    @routes.post(
        "/{name}:explain",
        operation_id="explain_instances",
        response_model=Explanations,
        openapi_extra=json_body(ExplainInstances, EXAMPLE),
    )
    async def explain_(name: str, request: Request) -> Response:
        """The best classes of each instance, and why."""
        return await answer(name, request, explain)

    @routes.get("/{name}", operation_id="get_model_state")
    async def model(name: str) -> ModelState:
        """Whether the model answers."""
        return ModelState(name=host.answerer_named(name).served.name)

    return routes
