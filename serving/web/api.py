"""The public HTTP application: routes, errors in one shape, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from serving.answers.problems import ProblemError, as_problem, kind_of
from serving.errors import ImageError, RequestError
from serving.process import metrics, traces
from serving.process.logs import flush_access
from serving.web import openapi, routes_answers, routes_kserve, routes_model, routes_oip
from serving.web.host import Host
from serving.web.routes_model import provider

PAGE = Path(__file__).parents[1] / "page"
_DESCRIPTION = (
    "A classifier's own answers, bit for bit, with what it looked for, where, and how much that "
    "counted. Errors are problems in the shape of RFC 9457."
)


class _Application(FastAPI):
    """FastAPI, without its layers around the routes that answer about images.

    Those read the request and write the response themselves. The layers would prepare parsing,
    dependencies and exit stacks for them, which costs more than the guard does. They are routes
    like all others for the description and for other methods; what they raise goes to the guard.
    """

    _direct: Mapping[str, APIRoute] = MappingProxyType({})

    def answer_directly(self, routes: Sequence[BaseRoute]) -> None:
        """Add POST routes of fixed paths whose functions take the request and nothing else."""
        self.router.routes.extend(routes)
        self._direct = {route.path: route for route in routes if isinstance(route, APIRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send)
            return
        posted = scope["type"] == "http" and scope["method"] == "POST"
        route = self._direct.get(scope["path"]) if posted else None
        if route is None:
            await super().__call__(scope, receive, send)
            return
        scope["route"] = route
        response: Response = await route.endpoint(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as GET would be answered, without the body."""
        as_get = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await super().__call__(as_get, receive, send_head)
        if "route" in as_get:  # for the metrics
            scope["route"] = as_get["route"]


def create_app(host: Host) -> FastAPI:
    """The application, without its guard (:class:`serving.web.guard.Guard`).

    Args:
        host: The model and its limits; started and stopped with the application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        host.start()
        if host.settings.traces:
            traces.start_traces()
        async with AsyncExitStack() as beside:
            if host.settings.grpc_port:
                from serving.web.grpc_server import GrpcServer  # an extra that few install

                server = GrpcServer(host, app.version)
                await server.start()
                beside.push_async_callback(server.stop)
            yield
        host.stop()
        traces.stop_traces()
        flush_access()

    app = _Application(
        title="protohead",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # Swagger and ReDoc load scripts from third parties
        redoc_url=None,
        openapi_url=None,  # a route of ours, which knows of a proxy's prefix
        redirect_slashes=False,
    )
    app.answer_directly(routes_answers.router(host).routes)
    for module in (routes_model, routes_oip, routes_kserve):
        # Not include_router: FastAPI would look each router up again for every request.
        app.router.routes.extend(module.router(host).routes)
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/readyz", _readiness(host), include_in_schema=False)
    app.add_api_route("/openapi.json", _description, include_in_schema=False)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    app.mount("/page", _Page(directory=PAGE))
    _answer_errors(app)
    _describe(app, host)
    return app


def _describe(app: FastAPI, host: Host) -> None:
    """Describe the application once for each model's name."""

    @lru_cache(maxsize=1)
    def described(name: str | None) -> dict[str, Any]:
        return openapi.describe(app, name=name, settings=host.settings)

    def of_now() -> dict[str, Any]:
        try:
            name = host.served.name
        except ProblemError:  # the model is loaded still; the description waits for no model
            name = None
        return described(name)

    app.openapi = of_now  # type: ignore[method-assign]


class _Page(StaticFiles):
    """The page's files, asked for again each time: those of two releases do not fit together."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """One of them, or that it has not changed."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _index(request: Request) -> Response:
    headers = {"Cache-Control": "no-cache", "Vary": "Accept"}
    if "text/html" in request.headers.get("accept", ""):
        page = (PAGE / "index.html").read_text(encoding="utf-8")
        if prefix := request.state.prefix:  # at /prefix the page would look beside it for its files
            page = page.replace('="page/', f'="{prefix}/page/')
        return HTMLResponse(page, headers=headers)
    return JSONResponse({"status": "alive"}, headers=headers)  # as KServe's first protocol asks


def _readiness(host: Host) -> Callable[[], Coroutine[Any, Any, Response]]:
    async def ready() -> Response:
        host.require_ready()
        return JSONResponse({"ready": True, "provider": provider(host.served).model_dump()})

    return ready


async def _description(request: Request) -> Response:
    described = request.app.openapi()
    if prefix := request.state.prefix:
        described = {**described, "servers": [{"url": prefix}]}
    return JSONResponse(described)


async def _metrics() -> Response:
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _answer_errors(app: FastAPI) -> None:
    """Turn every failure into a problem; the guard logs those that nobody expected."""

    async def problem(request: Request, error: Exception) -> Response:
        found = _as_problem(error)
        request.state.problem = found.kind
        return found.response(request.state.names.request)

    app.add_exception_handler(Exception, problem)
    for kind in (ProblemError, RequestValidationError, HTTPException, ImageError, RequestError):
        app.add_exception_handler(kind, problem)


def _as_problem(error: Exception) -> ProblemError:
    match error:
        case RequestValidationError():
            first = error.errors()[0]
            return ProblemError("options", f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")
        case HTTPException():
            headers = dict(error.headers or {})
            if headers.get("Allow") == "GET":
                headers["Allow"] = "GET, HEAD"  # which is answered wherever GET is
            return ProblemError(kind_of(error.status_code), f"{error.detail}.", headers)
        case _:
            return as_problem(error)
