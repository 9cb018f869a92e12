"""Spans of a call, from the front to the worker."""

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from polling import until
from rdserve.server.app import Server
from rdserve.server.settings import Settings
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest
from rdserve.v1.vae_pb2_grpc import VaeServiceStub
from rdserve.wire import tensors, tracing
from running import Running, until_serving

pytest.importorskip("opentelemetry.sdk")

Launch = Callable[..., Running]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


def score(stub: Any, traceparent: str = TRACEPARENT) -> Any:
    images = tensors.to_message(np.zeros((2, 8, 8), bool))
    request = ScoreRequest(model="tiny-mmm", images=images, noise=NoiseKeys(seed=1))
    return stub.Score(request, metadata=(("traceparent", traceparent),))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What this process traces; the provider is as an application would set it."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
async def stub(store: Path, spans: Any) -> Any:
    service = Server(Settings(models=store, port=0, backend="in-process"), lambda line: None)
    await service.start()
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield VaeServiceStub(channel)
    await service.stop()


async def test_a_callers_trace_goes_on_to_the_worker(stub: Any, spans: Any) -> None:
    spans.clear()
    await score(stub)
    found = {span.name: span for span in spans.get_finished_spans()}
    rpc = found["rdserve.v1.VaeService/Score"]
    assert set(found) == {"rdserve.v1.VaeService/Score", "queue", "call", "merge", "compute"}
    assert {format(span.context.trace_id, "032x") for span in found.values()} == {TRACE}
    assert format(rpc.parent.span_id, "016x") == CALLER
    parents = {name: span.parent.span_id for name, span in found.items()}
    assert parents["queue"] == parents["call"] == rpc.context.span_id
    assert parents["merge"] == parents["compute"] == found["call"].context.span_id
    assert found["call"].attributes["rdserve.model"] == "tiny-mmm"
    assert found["call"].attributes["rdserve.rows"] == 2
    inside = found["call"]
    assert inside.start_time <= found["compute"].start_time
    assert found["compute"].end_time <= inside.end_time <= rpc.end_time


async def test_those_that_travel_together_are_linked(stub: Any, spans: Any) -> None:
    spans.clear()
    other = f"00-{'a' * 32}-{CALLER}-01"
    await asyncio.gather(*(score(stub, TRACEPARENT if i % 2 else other) for i in range(60)))
    calls = [span for span in spans.get_finished_spans() if span.name == "call"]
    together = [span for span in calls if span.attributes["rdserve.requests"] > 1]
    assert together
    for span in together:
        assert len(span.links) == span.attributes["rdserve.requests"] - 1
    assert sum(span.attributes["rdserve.requests"] for span in calls) == 60


async def test_a_failed_call_is_an_error(stub: Any, spans: Any) -> None:
    spans.clear()
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Score(ScoreRequest(model="nobody"))
    while not (found := spans.get_finished_spans()):  # the caller knows before the handler has ended
        await asyncio.sleep(0.01)
    (span,) = found
    assert (span.status.description, span.attributes["rpc.grpc.status_code"]) == ("NOT_FOUND", 5)
    assert span.parent is None


def test_nobody_traces_by_default() -> None:
    assert tracing.start("nothing", TRACEPARENT) is None


class Collector(BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    spans: list[tuple[str, str, str]]  # service, name, trace id

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {fact.key: fact.value.string_value for fact in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(facts["service.name"], s.name, s.trace_id.hex()) for s in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


def test_spans_leave_the_front_and_torchserves_workers(
    checkpoints: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    handler = type("Collecting", (Collector,), {"spans": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        running = until_serving(launch(checkpoints / "tiny-mmm"))
        with grpc.insecure_channel(running.address) as channel:
            score(VaeServiceStub(channel))
        wanted = {("rdserve", "call", TRACE), ("rdserve-worker", "compute", TRACE)}
        until(lambda: wanted <= set(handler.spans))
        running.stop()
        server.shutdown()
