"""OpenTelemetry traces, where a setting asks for them: one span a request, and those inside it.

Where spans go, their sampling and the name of the service are set by the standard ``OTEL_*``
variables; https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.errors import RuntimeSetupError

_tracer: Tracer | None = None
"""None where no traces are asked for."""
_provider: Any = None
_propagator = TraceContextTextMapPropagator()


def start_traces() -> None:
    """Export spans by OTLP over HTTP from now on.

    Raises:
        RuntimeSetupError: The exporter is not installed.
    """
    global _tracer, _provider
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise RuntimeSetupError(
            "expected OpenTelemetry's exporter for traces, found none. "
            "Run: pip install 'protohead[otel]'."
        ) from error
    named = Resource({"service.name": "protohead"}).merge(OTELResourceDetector().detect())
    _provider = TracerProvider(resource=Resource.create().merge(named))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("protohead")


def stop_traces() -> None:
    """Export what is left."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer, _provider = None, None


def begin(carrier: Mapping[str, str]) -> Span | None:
    """The span of a request, below the one that its ``traceparent`` names.

    Args:
        carrier: The headers ``traceparent`` and ``tracestate``, where there are any.
    """
    if _tracer is None:
        return None
    return _tracer.start_span("", _propagator.extract(carrier), SpanKind.SERVER)


def end(span: Span, name: str, attributes: Mapping[str, Any], *, failed: bool) -> None:
    """End a request's span, whose route is known by now."""
    span.update_name(name)
    span.set_attributes({key: value for key, value in attributes.items() if value is not None})
    if failed:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def inside(span: Span | None) -> AbstractContextManager[Any]:
    """Within it, spans are those of this request."""
    return contextlib.nullcontext() if span is None else trace.use_span(span)


def step(name: str) -> AbstractContextManager[Any]:
    """A span of a part of a request's work."""
    return contextlib.nullcontext() if _tracer is None else _tracer.start_as_current_span(name)
