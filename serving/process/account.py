"""What is kept of one request, whatever carried it: its ids, its span, its line in the log."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.trace import Span

from serving.process import metrics, traces
from serving.process.logs import write_access

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACE = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""A ``traceparent``; https://www.w3.org/TR/trace-context."""
_PROCESS = secrets.token_hex(4)
_numbers = itertools.count()


@dataclass(frozen=True)
class Names:
    """The ids of a request.

    Attributes:
        request: The client's word where it is harmless, else one made here.
        trace: Of the W3C trace that it is part of; None where it is part of none.
    """

    request: str
    trace: str | None


class Account:
    """One request, from its first byte to the line in the log.

    Args:
        headers: ``x-request-id``, ``traceparent`` and ``tracestate``, where the client sent them.
        client: Address of the client.
        method: How it asks, such as POST.
        path: What it asks.
    """

    def __init__(self, headers: Mapping[str, str], *, client: str, method: str, path: str) -> None:
        self._start = time.perf_counter()
        self._client, self._method, self._path = client, method, path
        self.span = traces.begin(headers)
        self.names = Names(_request_id(headers), _trace_id(headers, self.span))
        self.status = 0
        self.bytes = 0

    def close(self, route: str | None, label: str | None, problem: str | None) -> None:
        """Count it, end its span, and write its line.

        Args:
            route: Template of the route that answered; None where none did.
            label: What the metrics call it; they must not follow the client's words.
            problem: The kind of problem that it was answered with.
        """
        seconds = time.perf_counter() - self._start
        metrics.observe_request(label, self._method, self.status, seconds)
        if problem:
            metrics.observe_problem(problem)
        if self.span is not None:
            traces.end(
                self.span,
                f"{self._method} {label}" if label else self._method,
                {
                    "http.request.method": self._method,
                    "http.response.status_code": self.status,
                    "http.route": route,
                    "url.path": self._path[:200],
                    "client.address": self._client,
                    "error.type": problem,
                },
                failed=self.status >= 500,
            )
        write_access(
            {
                "time": round(time.time(), 3),
                "id": self.names.request,
                "trace": self.names.trace,
                "client": self._client,
                "method": self._method,
                "path": self._path[:200],
                "route": route,
                "status": self.status,
                "ms": round(seconds * 1000, 2),
                "bytes": self.bytes,
                "problem": problem,
            }
        )


def _request_id(headers: Mapping[str, str]) -> str:
    # The client's words go to the log, so only harmless ones are taken over.
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else f"{_PROCESS}{next(_numbers):08x}"


def _trace_id(headers: Mapping[str, str], span: Span | None) -> str | None:
    if span is not None:
        return f"{span.get_span_context().trace_id:032x}"
    found = _TRACE.fullmatch(headers.get("traceparent", ""))
    return found[1] if found else None
