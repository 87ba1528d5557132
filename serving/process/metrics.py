"""Prometheus metrics of the answers; every label comes from the code or the manifest.

Under BentoML several workers write to one folder, named by ``PROMETHEUS_MULTIPROC_DIR``, and any
of them answers for all.
"""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
UNMATCHED = "unmatched"
"""The route of a request that fits none: paths are the client's words, and without bound."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LOGIT_UNITS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_METHODS = frozenset({"GET", "HEAD", "POST"})

_latency = Histogram(
    "protohead_request_seconds",
    "Time from a request's first byte to its answer's last.",
    ("route", "method", "status"),
    buckets=_SECONDS,
)
_predictions = Counter(
    "protohead_predictions", "Images answered, by the label of their best class.", ("label",)
)
_residual = Histogram(
    "protohead_residual",
    "Completeness residual of explanations, logit units.",
    buckets=_LOGIT_UNITS,
)
_rejected = Counter("protohead_rejected", "Requests answered with a problem, by kind.", ("kind",))


def observe_request(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count an answered request under its route's template."""
    known = method if method in _METHODS else "other"
    _latency_of(route or UNMATCHED, known, status).observe(seconds)


def observe_answer(label: str, residual: float | None) -> None:
    """Count an image under its best class, and the residual of its explanation."""
    _predictions_of(label).inc()
    if residual is not None:
        _residual.observe(residual)


# The library builds and looks up the labels anew at each call, which costs more than counting.
@cache
def _latency_of(route: str, method: str, status: int) -> Histogram:
    return _latency.labels(route, method, str(status))


@cache
def _predictions_of(label: str) -> Counter:
    return _predictions.labels(label)


def observe_problem(kind: str) -> None:
    """Count a request that was answered with a problem."""
    _rejected.labels(kind).inc()


def render() -> bytes:
    """The text format, over all workers."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
