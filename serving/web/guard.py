"""What every request passes: id, token, concurrency, headers, metrics, and one line of log.

A plain ASGI middleware around the whole application, so that nothing answers without it.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers.problems import ProblemError, as_problem, busy
from serving.process import traces
from serving.process.account import Account
from serving.process.settings import Settings, is_prefix
from serving.process.tokens import Tokens

HEALTH = frozenset(
    ("/healthz", "/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")
)
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ASKED = (
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Inference-Header-Content-Length",
    "traceparent",
    "tracestate",
    "X-Request-Id",
)
_TOLD = ("Inference-Header-Content-Length", "X-Request-Id")
_OF_THE_ACCOUNT = ("x-request-id", "traceparent", "tracestate")
_DOCS = frozenset({"/", "/openapi.json"})
_DOCS_BELOW = ("/page/", "/v1/samples")

BODIES_PER_ANALYSIS = 4
"""Requests in hand for each analysis: slow senders hold no place, but not without end."""
_log = logging.getLogger("protohead")


def guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """An application behind its guard, and that behind what pages of other origins may ask for.

    Args:
        app: What is guarded.
        settings: Tokens, limits and origins.
    """
    guard = Guard(app, settings)
    if not settings.origins:
        return guard
    return CORSMiddleware(  # outside, because a browser asks for leave without a token
        guard,
        allow_origins=settings.origins,
        allow_methods=("GET", "POST"),
        allow_headers=_ASKED,
        expose_headers=_TOLD,
    )


class Guard:
    """The middleware.

    Args:
        app: What it guards.
        settings: Tokens and limits.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._tokens = Tokens(settings.tokens) if settings.tokens else None
        self._in_hand = 0
        policy = "cross-origin" if settings.origins else "same-origin"
        headers = SECURITY_HEADERS | {"Cross-Origin-Resource-Policy": policy}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP goes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(self._below_prefix(scope), send, self._headers)
        try:
            with request.inside():
                await self._answer(request, receive)
        except Exception as error:
            problem = as_problem(error)
            if problem.kind == "internal":
                _log.exception("request %s failed", request.id)
            if request.status == 0:
                await request.refuse(problem, receive)
        finally:
            request.close()

    def _below_prefix(self, scope: Scope) -> Scope:
        """The request as it would be without the prefix that a proxy adds to every path.

        It is taken from the setting, or else from the proxy; there are those that cut it off from
        the path and those that leave it.
        """
        prefix = self._settings.root_path
        if not prefix:
            given = next((v for name, v in scope["headers"] if name == b"x-forwarded-prefix"), b"")
            prefix = given.decode("latin-1").rstrip("/")
        if not prefix or not is_prefix(prefix):
            return {**scope, "state": {**scope.get("state", {}), "prefix": ""}}
        path: str = scope["path"]
        inside = path == prefix or path.startswith(prefix + "/")
        return {
            **scope,
            "path": path[len(prefix) :] if inside else path,
            "state": {**scope.get("state", {}), "prefix": prefix},
        }

    async def _answer(self, request: _Request, receive: Receive) -> None:
        scope = request.scope
        if not scope["path"]:
            home = {"Location": scope["state"]["prefix"] + "/"}
            await Response(status_code=308, headers=home)(scope, receive, request.send)
            return
        if self._tokens and not self._open(scope["path"]):
            authorize(self._tokens, request.headers.get(b"authorization", b"").decode("latin-1"))
        if scope["method"] != "POST":
            await self._app(scope, receive, request.send)
            return
        if self._in_hand >= BODIES_PER_ANALYSIS * self._settings.concurrency:
            raise busy(self._in_hand)
        self._in_hand += 1
        try:
            await self._app(scope, receive, request.send)
        finally:
            self._in_hand -= 1

    def _open(self, path: str) -> bool:
        if path in HEALTH:
            return self._settings.open_health
        docs = path in _DOCS or path.startswith(_DOCS_BELOW)
        return docs and self._settings.open_docs


def authorize(tokens: Tokens, authorization: str) -> None:
    """Let the bearers of known tokens pass.

    Raises:
        ProblemError: The header carries none.
    """
    if not tokens.allow(authorization):
        raise ProblemError(
            "unauthorized",
            "expected the header Authorization: Bearer TOKEN with a token known here.",
            {"WWW-Authenticate": "Bearer"},
        )


class _Request:
    """One request, on the way to its answer."""

    def __init__(self, scope: Scope, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._added = headers
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._account = Account(
            {
                name: self.headers[name.encode()].decode("latin-1")
                for name in _OF_THE_ACCOUNT
                if name.encode() in self.headers
            },
            client=(scope.get("client") or ("",))[0],
            method=scope["method"],
            path=scope["path"],
        )
        self._state = scope["state"]
        self._state["names"] = self._account.names

    @property
    def id(self) -> str:
        """Names it in the log and in its answer."""
        return self._account.names.request

    @property
    def status(self) -> int:
        """Of its answer; 0 before it has begun."""
        return self._account.status

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self._account.status = message["status"]
            own = (b"x-request-id", self.id.encode())
            message["headers"] = [*message.get("headers", ()), *self._added, own]
        elif message["type"] == "http.response.body":
            self._account.bytes += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, problem: ProblemError, receive: Receive) -> None:
        """Answer with a problem."""
        self._state["problem"] = problem.kind
        await problem.response(self.id)(self.scope, receive, self.send)

    def inside(self) -> AbstractContextManager[object]:
        """Within it, what is traced belongs to this request."""
        return traces.inside(self._account.span)

    def close(self) -> None:
        """Count it, and write its line."""
        route = getattr(self.scope.get("route"), "path", None)
        label = route or _known(self.scope["path"])
        self._account.close(route, label, self._state.get("problem"))


def _known(path: str) -> str | None:
    """The label of a path that no route of ours has."""
    if path in HEALTH or path in _DOCS:
        return path
    return next((prefix for prefix in _DOCS_BELOW if path.startswith(prefix)), None)
