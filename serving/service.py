"""The BentoML host; the only file that imports bentoml.

BentoML brings processes, life cycle, health and packing. Requests are answered by the FastAPI
application of serving/web/api.py, which :class:`Front` puts before BentoML's own routes. Its typed
routes would fetch any URL that a client sends in place of a file, and answer damaged forms with
500: here a typed call has the same parser, limits and errors as every other.
"""

from __future__ import annotations

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # read when bentoml is imported

import gc
import signal
import threading
from pathlib import Path
from typing import Any

import bentoml
import orjson
import uvicorn.config
from bentoml.exceptions import BentoMLException
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.answers.problems import ProblemError
from serving.answers.schema import ExplainOptions, Heatmaps, Mute, PredictOptions
from serving.errors import ArtifactError
from serving.process.logs import configure_logs
from serving.process.ready import announce_when_ready
from serving.process.settings import Settings
from serving.web.api import create_app
from serving.web.guard import guarded
from serving.web.host import Host
from serving.web.launch import environment_settings, require_usable
from serving.web.protocol import LimitedProtocol

_BENTOML_PATHS = frozenset({"/healthz", "/livez", "/schema.json"})
_SECONDS_BETWEEN_LOOKS = 0.5


def _settings() -> Settings:
    try:
        return environment_settings()
    except ArtifactError as error:
        raise BentoMLException(str(error)) from error


configure_logs()  # BentoML has set its own by now, and loads this file before it says more
settings = _settings()
os.environ["PROTOHEAD_WORKERS"] = str(settings.process_count)  # workers need not find it out again
host = Host(settings)
app = create_app(host)


class Front:
    """Guards everything, and leaves only health and the client's schema to BentoML."""

    def __init__(self, app: ASGIApp) -> None:
        self._bentoml = app
        self._guarded = guarded(self._dispatch, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._guarded(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] == "http" and scope["path"] not in _BENTOML_PATHS
        if not own and scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            raise ProblemError(
                "unknown-method",
                f"expected GET or HEAD, got {scope['method'][:20]}.",
                {"Allow": "GET, HEAD"},
            )
        await (app if own else self._bentoml)(scope, receive, send)


class _Fronted(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose application stands behind :class:`Front`.

    As a middleware it would come after BentoML's own, of which one leaves a timer behind every
    request for the length of its time limit, and another parses addresses for traces.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The application that a worker runs."""
        return Front(super().to_asgi(is_main))


@bentoml.service(
    name="protohead",
    service_class=_Fronted,
    workers=settings.process_count,
    # BentoML would label its metrics with every path that a client invents.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    http={"host": settings.host, "port": settings.port},
)
class Service:
    """A classifier that also says what it looked for, and where."""

    @bentoml.on_deployment
    def prepare() -> None:
        """In the supervisor, before any worker: refuse a bad artifact, mind what comes of them."""
        try:
            require_usable(settings)
        except ArtifactError as error:
            raise BentoMLException(str(error)) from error
        _replace_dead_workers_soon()
        announce_when_ready(settings)

    @bentoml.on_startup
    def attach(self) -> None:
        """In each worker, before it answers."""
        gc.freeze()  # what is loaded by now stays: no collection need look at it again
        if bentoml.server_context.worker_index is not None:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()

    @bentoml.api
    def predict(self, image: Path, top: int = 5) -> dict[str, Any]:
        """The classes of an image, best first; options and answer as in ``/v1/predict``."""
        content = host.answerer().predict([image.read_bytes()], PredictOptions(top=top))
        answer: dict[str, Any] = orjson.loads(content)
        return answer

    @bentoml.api
    def explain(
        self,
        image: Path,
        top: int | None = None,
        heatmaps: Heatmaps = "values",
        mute: tuple[Mute, ...] = (),
    ) -> dict[str, Any]:
        """What was looked for in an image; options and answer as in ``/v1/explain``."""
        options = ExplainOptions(top=top, heatmaps=heatmaps, mute=mute)
        answer: dict[str, Any] = orjson.loads(
            host.answerer().explain([image.read_bytes()], options)
        )
        return answer


# BentoML leaves the choice of a protocol to uvicorn.
uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{LimitedProtocol.__module__}:{LimitedProtocol.__name__}"
_service: Any = Service  # the decorator's type hides that it made a bentoml.Service
_service.mount_asgi_app(app)  # for its start and stop; its requests come through Front


def _replace_dead_workers_soon() -> None:
    """Make BentoML's supervisor look for dead workers more often than every 10 s."""
    from bentoml._internal.utils import circus  # here, because workers have no need of it

    class Arbiter(circus.Arbiter):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "check_delay": _SECONDS_BETWEEN_LOOKS})

    # create_standalone_arbiter passes the delay, and looks the class up when it is called.
    circus.Arbiter = Arbiter  # type: ignore[misc]


def _end_with(parent: int) -> None:
    """End this worker, its requests first, when the supervisor is gone, however it ended."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
