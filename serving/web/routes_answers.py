"""The routes that answer about an image: predict, explain, contrast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from serving.answers.answerer import Answerer
from serving.answers.examples import EXAMPLES
from serving.answers.intake import Intake, read_intake, read_options
from serving.answers.requests import ContrastRequest, ExplainRequest, PredictRequest
from serving.answers.schema import (
    ContrastAnswer,
    ContrastOptions,
    ExplainAnswer,
    ExplainOptions,
    PredictAnswer,
    PredictOptions,
)
from serving.web.host import Host
from serving.web.openapi import image_body
from serving.web.packing import respond

Options = TypeVar("Options", bound=BaseModel)


def router(host: Host) -> APIRouter:
    """The routes.

    Args:
        host: The running application.

    Returns:
        The three routes; ``/predict`` and ``/explain`` are the first two under the names that
        BentoML's clients call them by.
    """
    routes = APIRouter(tags=["Answers"])

    @routes.post(
        "/v1/predict",
        operation_id="predict",
        response_model=PredictAnswer,
        responses={200: {"content": {"application/json": {"example": EXAMPLES["predict"]}}}},
        openapi_extra=image_body(PredictRequest, {"top": 3}, host.settings),
    )
    async def predict(request: Request) -> Response:
        """The classes of one image or many, best first."""
        return await _answer(host, request, PredictOptions, _predict)

    @routes.post(
        "/v1/explain",
        operation_id="explain",
        response_model=ExplainAnswer,
        responses={200: {"content": {"application/json": {"example": EXAMPLES["explain"]}}}},
        openapi_extra=image_body(ExplainRequest, {"top": 1, "heatmaps": "values"}, host.settings),
    )
    async def explain(request: Request) -> Response:
        """What was looked for in one image or many, where, and how much each part counted.

        For every class: contributions + bias + common + unplaced + rounding = logit.
        """
        return await _answer(host, request, ExplainOptions, _explain)

    @routes.post(
        "/v1/contrast",
        operation_id="contrast",
        response_model=ContrastAnswer,
        openapi_extra=image_body(ContrastRequest, {"a": 0, "b": 1}, host.settings),
    )
    async def contrast(request: Request) -> Response:
        """Why class a and not class b, prototype by prototype, for one image.

        A bare `image/*` body is taken too, with a and b in the query: `?a=0&b=1`.
        """
        return await _answer(host, request, ContrastOptions, _contrast, most=1)

    @routes.post("/predict", include_in_schema=False)
    async def typed_predict(request: Request) -> Response:
        return await _answer(host, request, PredictOptions, _predict, typed=True)

    @routes.post("/explain", include_in_schema=False)
    async def typed_explain(request: Request) -> Response:
        return await _answer(host, request, ExplainOptions, _explain, typed=True)

    return routes


def _predict(answerer: Answerer, intake: Intake, options: PredictOptions) -> bytes:
    return answerer.predict(intake.images, options)


def _explain(answerer: Answerer, intake: Intake, options: ExplainOptions) -> bytes:
    return answerer.explain(intake.images, options)


def _contrast(answerer: Answerer, intake: Intake, options: ContrastOptions) -> bytes:
    return answerer.contrast(intake.images[0], options)


async def _answer(
    host: Host,
    request: Request,
    model: type[Options],
    call: Callable[[Answerer, Intake, Options], bytes],
    *,
    most: int | None = None,
    typed: bool = False,
) -> Response:
    content = await host.read(request)
    answerer = host.answerer(request.state.prefix)
    content_type = request.headers.get("content-type", "")
    query = request.query_params.multi_items()

    accepted = request.headers.get("accept-encoding", "")

    def work() -> Response:
        intake = read_intake(content_type, content, query, max_images=most or host.max_images)
        if typed:
            intake = intake.from_typed_client()
        options = read_options(model, intake, answerer.served.predictor.names)
        return respond(call(answerer, intake, options), accepted, "application/json")

    return await host.analyse(answerer, request.state.names, work)
