"""HTTP/1.1 as uvicorn speaks it, with limits on the head of a request.

uvicorn's httptools protocol keeps whatever a client sends before the body, for as long as it sends,
and loses the body of a request that offers to go on in HTTP/2, as Java's client does by default.
Its h11 protocol does neither, and costs half a millisecond of CPU more a request.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.answers.problems import ProblemError
from serving.process import metrics

MAX_HEAD = 2**16
"""Bytes of a request's line and header fields, and of what surrounds its body."""

MAX_FIELDS = 100
"""Header fields of a request, trailers among them."""

HEAD_SECONDS = 10.0
"""From a connection, or the first byte on a kept one, to the end of a request's head."""

_FRAME = 32  # bytes around a chunk of a body: its length in digits, two ends of line
_TOO_LONG = ProblemError(
    "head", f"expected a request head of at most {MAX_HEAD} bytes and {MAX_FIELDS} fields."
)
_MALFORMED = ProblemError("malformed", "expected a request of HTTP/1.1.")
_OFFERS = frozenset((b"upgrade", b"http2-settings"))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which refuses a head that is too long or too slow."""

    seconds = HEAD_SECONDS

    _waiting: asyncio.TimerHandle | None = None
    _around = 0  # bytes of this request that are no body
    _refusal = _MALFORMED
    _without_offer: bytes | None = None  # the head again, as if it had offered no other protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn types it
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self._unset_keepalive_if_required()
        self._around += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._around > MAX_HEAD and not self.transport.is_closing():
            self._refuse(_TOO_LONG)
        elif self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # a head that came whole has begun its answer by now

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # the parser stops in front of the body
            head, self._without_offer = self._without_offer, None
            if head is None:
                self.handle_websocket_upgrade()
                return
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + data[upgrade.args[0] :])

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head, or of the trailers."""
        if len(self.headers) == MAX_FIELDS:
            self._refusal = _TOO_LONG
            raise ValueError(_TOO_LONG.detail)  # the parser gives up
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer; a protocol that nobody here speaks is declined by ignoring its offer."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD:
            self._refusal = _TOO_LONG
            raise ValueError(_TOO_LONG.detail)
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._without_offer = self._head_without_offer()
            return
        self._wait_no_longer()
        super().on_headers_complete()

    def _head_without_offer(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError("no proxy")
        fields = [(name, value) for name, value in self.headers if name not in _OFFERS]
        lines = [
            name + b": " + (_without_offers(value) if name == b"connection" else value)
            for name, value in fields
        ]
        return b"\r\n".join([method + b" " + self.url + b" HTTP/1.1", *lines, b"", b""])

    def on_chunk_header(self) -> None:
        """A chunk of a body may have its length before it."""
        self._around -= _FRAME

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the application limits."""
        self._around -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._without_offer is None:
            self._around = 0
            super().on_message_complete()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.seconds, self._too_slow)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._refuse(
                ProblemError("slow", f"expected the whole head within {self.seconds:g} s.")
            )

    def _refuse(self, problem: ProblemError) -> None:
        """Answer, unless an answer is on its way, and close the connection."""
        self._wait_no_longer()
        metrics.observe_problem(problem.kind)
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            answer = problem.response("")
            fields = (*answer.raw_headers, (b"connection", b"close"))
            lines = [name + b": " + value for name, value in fields]
            status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()
            self.transport.write(b"\r\n".join([status, *lines, b"", bytes(answer.body)]))
        self.transport.close()


def _without_offers(connection: bytes) -> bytes:
    tokens = [token.strip() for token in connection.split(b",")]
    return b", ".join(token for token in tokens if token.lower() not in _OFFERS)
