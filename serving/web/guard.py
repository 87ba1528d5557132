"""What every request passes: id, token, concurrency, headers, metrics, and one line of log.

A plain ASGI middleware around the whole application, so that nothing answers without it.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import logging
import re
import secrets
import time
from pathlib import Path

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers.problems import ProblemError, as_problem, busy
from serving.errors import SettingsError
from serving.process import metrics
from serving.process.logs import write_access
from serving.process.settings import Settings

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
    "X-Request-Id",
)
_TOLD = ("Inference-Header-Content-Length", "X-Request-Id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACE = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""A ``traceparent``; https://www.w3.org/TR/trace-context."""
_DOCS = frozenset({"/", "/openapi.json"})
_DOCS_BELOW = ("/page/", "/v1/samples")

_BODIES_PER_ANALYSIS = 4
SECONDS_BETWEEN_LOOKS = 1.0
"""At the file of tokens."""
_PROCESS = secrets.token_hex(4)
_numbers = itertools.count()
_log = logging.getLogger("protohead")


class Tokens:
    """The bearer tokens that may ask, read again when their file changes.

    A file that can no longer be read, or holds no token any more, lets nobody in until it is
    mended: whoever takes tokens away wants them refused.

    Args:
        path: File with one a line; empty lines and lines that begin with # are skipped.

    Raises:
        SettingsError: The file cannot be read or holds no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _fingerprint(path)
        self._next_look = 0.0
        self._digests = _read_digests(path)

    def allow(self, authorization: str) -> bool:
        """Whether a header carries one of them, in a time that tells nothing of them."""
        self._look()
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip().encode("latin-1", "replace"))
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == "bearer" and any(found)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        found = _fingerprint(self._path)
        if found == self._seen:
            return
        self._seen = found
        try:
            self._digests = _read_digests(self._path)
        except SettingsError as error:
            self._digests = []
            _log.error("nobody may ask until this is mended: %s", error)
        else:
            _log.warning("%s: %d tokens read again", self._path, len(self._digests))


def _fingerprint(path: Path) -> tuple[int, ...]:
    """What changes when the file is replaced or written to."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _read_digests(path: Path) -> list[bytes]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the tokens: {error}.") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise SettingsError(f"{path}: expected one token a line, found none.")
    return [_digest(token.encode()) for token in tokens]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


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
        request = _Request(scope, send, self._headers)
        try:
            await self._answer(request, receive)
        except Exception as error:
            problem = as_problem(error)
            if problem.kind == "internal":
                _log.exception("request %s failed", request.id)
            if request.status == 0:
                await request.refuse(problem, receive)
        finally:
            request.close()

    async def _answer(self, request: _Request, receive: Receive) -> None:
        scope = request.scope
        if self._tokens and not self._open(scope["path"]):
            self._authorize(request.headers.get(b"authorization", b"").decode("latin-1"))
        if scope["method"] != "POST":
            await self._app(scope, receive, request.send)
            return
        # Slow senders hold no place among the analyses, but not without end.
        if self._in_hand >= _BODIES_PER_ANALYSIS * self._settings.concurrency:
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

    def _authorize(self, authorization: str) -> None:
        if self._tokens and not self._tokens.allow(authorization):
            raise ProblemError(
                "unauthorized",
                "expected the header Authorization: Bearer TOKEN with a token known here.",
                {"WWW-Authenticate": "Bearer"},
            )


class _Request:
    """One request, from its first byte to the line in the log."""

    def __init__(self, scope: Scope, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._start = time.perf_counter()
        self._send = send
        self._added = headers
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"").decode("latin-1")
        # The client's words go to the log, so only harmless ones are taken over.
        known = _REQUEST_ID.fullmatch(given)
        self.id = given if known else f"{_PROCESS}{next(_numbers):08x}"
        trace = _TRACE.fullmatch(self.headers.get(b"traceparent", b""))
        self.trace = trace[1].decode() if trace else None
        self.status = 0
        self._bytes = 0
        self._state = scope.setdefault("state", {})
        self._state["request_id"] = self.id

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.id.encode())
            message["headers"] = [*message.get("headers", ()), *self._added, own]
        elif message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, problem: ProblemError, receive: Receive) -> None:
        """Answer with a problem."""
        self._state["problem"] = problem.kind
        await problem.response(self.id)(self.scope, receive, self.send)

    def close(self) -> None:
        """Count it, and write its line."""
        seconds = time.perf_counter() - self._start
        method, path = self.scope["method"], self.scope["path"]
        route = getattr(self.scope.get("route"), "path", None)
        problem = self._state.get("problem")
        metrics.observe_request(route or _known(path), method, self.status, seconds)
        if problem:
            metrics.observe_problem(problem)
        write_access(
            {
                "time": round(time.time(), 3),
                "id": self.id,
                "trace": self.trace,
                "client": (self.scope.get("client") or ("",))[0],
                "method": method,
                "path": path[:200],
                "route": route,
                "status": self.status,
                "ms": round(seconds * 1000, 2),
                "bytes": self._bytes,
                "problem": problem,
            }
        )


def _known(path: str) -> str | None:
    """The label of a path that no route of ours has."""
    if path in HEALTH or path in _DOCS:
        return path
    return next((prefix for prefix in _DOCS_BELOW if path.startswith(prefix)), None)
