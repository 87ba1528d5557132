"""Errors as clients see them: one shape everywhere, RFC 9457, and never a stack trace.

The kind of a problem is the end of its ``type``, and the label of the metric of rejected inputs;
there is a fixed number of kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from serving.errors import ImageError, RequestError

Kind = Literal[
    "malformed",
    "unauthorized",
    "unknown-path",
    "unknown-method",
    "slow",
    "too-large",
    "media-type",
    "image",
    "options",
    "busy",
    "head",
    "internal",
    "timeout",
    "unavailable",
]

KINDS: Mapping[Kind, tuple[int, str]] = MappingProxyType(
    {
        "malformed": (400, "The body cannot be read"),
        "unauthorized": (401, "A token is needed"),
        "unknown-path": (404, "There is nothing here"),
        "unknown-method": (405, "The path does not answer this method"),
        "slow": (408, "The request came too slowly"),
        "too-large": (413, "The request is too large"),
        "media-type": (415, "The media type is not supported"),
        "image": (422, "The image cannot be used"),
        "options": (422, "An option is wrong"),
        "busy": (429, "Too many requests"),
        "head": (431, "The head of the request is too large"),
        "internal": (500, "The server failed"),
        "timeout": (503, "The answer took too long"),
        "unavailable": (503, "Not available"),
    }
)
MEDIA_TYPE = "application/problem+json"
INTERNAL = "The log says more under this request's id."


class ProblemError(Exception):
    """A request that is answered with a problem.

    Args:
        kind: Which of :data:`KINDS`.
        detail: What was expected, what was found, what to do.
        headers: Further headers of the response.
    """

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def response(self, instance: str) -> Response:
        """The response that says so, for the request of this id."""
        status, title = KINDS[self.kind]
        body = {
            "type": f"urn:protohead:{self.kind}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "instance": instance,
            "error": self.detail,
        }
        return Response(orjson.dumps(body), status, self.headers, MEDIA_TYPE)


def busy(count: int) -> ProblemError:
    """The problem of a request too many."""
    return ProblemError(
        "busy",
        f"{count} requests are in hand, the most allowed. Try again soon.",
        {"Retry-After": "1"},
    )


def too_long() -> ProblemError:
    """The problem of an answer that is not ready in time."""
    return ProblemError(
        "timeout",
        "The answer took longer than is allowed here. Try again later, or ask for less at once.",
        {"Retry-After": "1"},
    )


def kind_of(status: int) -> Kind:
    """The kind of problem that a bare HTTP status stands for."""
    return next((kind for kind, (code, _) in KINDS.items() if code == status), "malformed")


def as_problem(error: Exception) -> ProblemError:
    """The problem that a failure is answered with; one that nobody expected is internal."""
    match error:
        case ProblemError():
            return error
        case ImageError():
            return ProblemError("image", str(error))
        case RequestError():
            return ProblemError("options", str(error))
        case _:
            return ProblemError("internal", INTERNAL)


def wrong_options(error: ValidationError) -> ProblemError:
    """The problem with options that do not fit their model: the first one, by name."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:80] or "options"
    return ProblemError("options", f"{where}: {first['msg']}.")
