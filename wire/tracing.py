"""Spans from the front to the workers, where OpenTelemetry is installed (extra `tracing`) and set up.

The variable OTEL_EXPORTER_OTLP_ENDPOINT sets it up; a tracer provider that an application has set counts
too. Otherwise `start` returns None, and nothing is recorded.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    trace = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

HEADER = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span:
    """A span that has begun."""

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format(self._span.get_span_context().trace_id, "032x")

    @property
    def traceparent(self) -> str:
        """The span as a W3C header."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(self._span))
        return carrier[HEADER]

    def child(self, name: str, begun_ns: int | None = None, links: Sequence["Span"] = ()) -> "Span":
        """A span below this one, begun now or at that time since the epoch."""
        context = trace.set_span_in_context(self._span)
        linked = [trace.Link(link._span.get_span_context()) for link in links]
        return Span(_tracer().start_span(name, context, links=linked, start_time=begun_ns))

    def end(self, facts: Mapping[str, str | int | float] | None = None, error: str = "") -> None:
        """It ends now."""
        self._span.set_attributes(facts or {})
        if error:
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, error))
        self._span.end()


def set_up(service: str) -> None:
    """Send spans where the environment says; nothing where it says nothing."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("%s is set, but spans go nowhere; pip install 'rdserve[tracing]'", ENDPOINTS[0])
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def start(name: str, traceparent: str = "", *, server: bool = False) -> Span | None:
    """A span below the one that `traceparent` names, or a root; None where nobody traces."""
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    context = TraceContextTextMapPropagator().extract({HEADER: traceparent})
    kind = trace.SpanKind.SERVER if server else trace.SpanKind.INTERNAL
    return Span(_tracer().start_span(name, context, kind=kind))


@contextlib.contextmanager
def span(name: str, traceparent: str) -> Iterator[None]:
    """The block as a span below the one that `traceparent` names; without one, the block alone."""
    begun = start(name, traceparent) if traceparent else None
    try:
        yield
    finally:
        if begun:
            begun.end()


def _tracer() -> Any:
    return trace.get_tracer("rdserve")
