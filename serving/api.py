"""The public HTTP application: routes, errors in one shape, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from serving import metrics, openapi, routes_answers, routes_model
from serving.errors import ImageError, RequestError
from serving.host import Host
from serving.logs import flush_access
from serving.problems import INTERNAL, ProblemError, kind_of
from serving.protocols import kserve, oip

PAGE = Path(__file__).with_name("page")
_DESCRIPTION = (
    "A classifier's own answers, bit for bit, with what it looked for, where, and how much that "
    "counted. Errors are problems in the shape of RFC 9457."
)


def create_app(host: Host) -> FastAPI:
    """The application, without its guard (:class:`serving.guard.Guard`).

    Args:
        host: The model and its limits; started and stopped with the application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        host.start()
        yield
        host.stop()
        flush_access()

    app = FastAPI(
        title="protohead",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # Swagger and ReDoc load scripts from third parties
        redoc_url=None,
        redirect_slashes=False,
    )
    for module in (routes_answers, routes_model, oip, kserve):
        # Not include_router: FastAPI would look each router up again for every request.
        app.router.routes.extend(module.router(host).routes)
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE))
    _answer_errors(app)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app


async def _index() -> Response:
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


async def _metrics() -> Response:
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _answer_errors(app: FastAPI) -> None:
    """Turn every failure into a problem; the guard logs those that nobody expected."""

    async def problem(request: Request, error: Exception) -> Response:
        found = _as_problem(error)
        request.state.problem = found.kind
        return found.response(request.state.request_id)

    app.add_exception_handler(Exception, problem)
    for kind in (ProblemError, RequestValidationError, HTTPException, ImageError, RequestError):
        app.add_exception_handler(kind, problem)


def _as_problem(error: Exception) -> ProblemError:
    match error:
        case ProblemError():
            return error
        case ImageError():
            return ProblemError("image", str(error))
        case RequestError():
            return ProblemError("options", str(error))
        case RequestValidationError():
            first = error.errors()[0]
            return ProblemError("options", f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")
        case HTTPException():
            return ProblemError(kind_of(error.status_code), f"{error.detail}.", error.headers)
        case _:
            return ProblemError("internal", INTERNAL)
