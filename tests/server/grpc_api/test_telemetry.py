"""Every RPC is counted once, under its own code, over the wire."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from grpc_health.v1.health_pb2 import HealthCheckRequest
from polling import until
from rdserve.server import errors
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.server.grpc_api.interceptors.telemetry import TelemetryInterceptor
from rdserve.server.grpc_api.server import SERVICES
from rdserve.server.observability.metrics import Metrics
from rdserve.v1.vae_pb2 import GetModelRequest, GetModelResponse, SampleRequest, SampleResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, VaeServiceStub, add_VaeServiceServicer_to_server

MAX_BYTES = 10_000


class Scripted(VaeServiceServicer):
    """Does what the model's name says."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def GetModel(self, request: GetModelRequest, context: Any) -> GetModelResponse:
        await self._act(request.model, context)
        return GetModelResponse()

    async def Sample(self, request: SampleRequest, context: Any) -> AsyncIterator[SampleResponse]:
        yield SampleResponse()
        await self._act(request.model, context)
        yield SampleResponse()
        while request.model == "endless":
            yield SampleResponse(images={"data": bytes(1000)})

    async def _act(self, what: str, context: Any) -> None:
        self.entered.set()
        if what == "raise":
            raise errors.UnknownModel("raise", [])
        if what == "bug":
            raise KeyError("a secret")
        if what == "abort":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
        if what == "set code":
            context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        if what == "wait":
            await asyncio.Event().wait()


@pytest.fixture
async def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def servicer() -> Scripted:
    return Scripted()


@pytest.fixture
async def channel(metrics: Metrics, servicer: Scripted) -> AsyncIterator[aio.Channel]:
    server = aio.server(
        interceptors=[TelemetryInterceptor(metrics, SERVICES), ErrorsToStatus()],
        options=[("grpc.max_receive_message_length", MAX_BYTES)],
    )
    add_VaeServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@pytest.fixture
async def stub(channel: aio.Channel) -> Any:
    return VaeServiceStub(channel)


def counted(metrics: Metrics, name: str) -> Counter[tuple[str, ...]]:
    """The series of a counter that are not 0: (method, code) or (method,) -> value."""
    return Counter(
        {
            tuple(
                sample.labels[label] for label in ("grpc_method", "grpc_code") if label in sample.labels
            ): int(sample.value)
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }
    )


async def handled(metrics: Metrics, expected: dict[tuple[str, ...], int]) -> None:
    """Wait until as many RPCs were handled as expected; they must be those, and each was timed once."""
    await asyncio.to_thread(
        until, lambda: counted(metrics, "grpc_server_handled_total").total() >= sum(expected.values())
    )
    assert counted(metrics, "grpc_server_handled_total") == expected
    started = counted(metrics, "grpc_server_started_total")
    assert started.total() == sum(expected.values())
    assert counted(metrics, "grpc_server_handling_seconds_count") == started


async def ends(call: Any) -> grpc.StatusCode:
    """How a call ends for its client."""
    try:
        if hasattr(call, "read"):
            async for _ in call:
                pass
        else:
            await call
    except aio.AioRpcError as error:
        return error.code()
    return await call.code()  # type: ignore[no-any-return]


CODES = {
    "fine": ("OK", "OK"),
    "raise": ("NOT_FOUND", "NotFound"),
    "bug": ("INTERNAL", "Internal"),
    "abort": ("FAILED_PRECONDITION", "FailedPrecondition"),
    "set code": ("OUT_OF_RANGE", "OutOfRange"),
}


@pytest.mark.parametrize("what", CODES)
async def test_a_unary_call_is_counted_once(metrics: Metrics, stub: Any, what: str) -> None:
    code, counted_as = CODES[what]
    assert (await ends(stub.GetModel(GetModelRequest(model=what)))).name == code
    await handled(metrics, {("GetModel", counted_as): 1})
    assert counted(metrics, "grpc_server_msg_received_total") == {("GetModel",): 1}
    sent = {("GetModel",): 1} if what in ("fine", "set code") else {}
    assert counted(metrics, "grpc_server_msg_sent_total") == sent


@pytest.mark.parametrize("what", CODES)
async def test_a_stream_is_counted_once(metrics: Metrics, stub: Any, what: str) -> None:
    code, counted_as = CODES[what]
    assert (await ends(stub.Sample(SampleRequest(model=what)))).name == code
    await handled(metrics, {("Sample", counted_as): 1})
    sent = 2 if what in ("fine", "set code") else 1
    assert counted(metrics, "grpc_server_msg_sent_total") == {("Sample",): sent}


@pytest.mark.parametrize(("method", "request_"), [("GetModel", GetModelRequest), ("Sample", SampleRequest)])
async def test_an_expired_deadline(metrics: Metrics, stub: Any, method: str, request_: Any) -> None:
    call = getattr(stub, method)(request_(model="wait"), timeout=0.3)
    assert await ends(call) == grpc.StatusCode.DEADLINE_EXCEEDED
    await handled(metrics, {(method, "DeadlineExceeded"): 1})


@pytest.mark.parametrize(("method", "request_"), [("GetModel", GetModelRequest), ("Sample", SampleRequest)])
@pytest.mark.parametrize("timeout", [None, 600])
async def test_a_cancelled_call(
    metrics: Metrics, stub: Any, servicer: Scripted, method: str, request_: Any, timeout: float | None
) -> None:
    call = getattr(stub, method)(request_(model="wait"), timeout=timeout)
    await servicer.entered.wait()
    call.cancel()
    await handled(metrics, {(method, "Canceled"): 1})


async def test_a_client_that_leaves_between_two_messages(metrics: Metrics, stub: Any) -> None:
    call = stub.Sample(SampleRequest(model="endless"))
    for _ in range(3):
        await call.read()
    call.cancel()
    await handled(metrics, {("Sample", "Canceled"): 1})


async def test_a_message_that_never_comes(metrics: Metrics, channel: aio.Channel) -> None:
    call = channel.stream_unary("/rdserve.v1.VaeService/GetModel")()
    await asyncio.to_thread(until, lambda: counted(metrics, "grpc_server_started_total").total() == 1)
    call.cancel()
    await handled(metrics, {("GetModel", "Canceled"): 1})


async def test_a_message_over_the_limit_never_reaches_a_handler(metrics: Metrics, stub: Any) -> None:
    code = await ends(stub.GetModel(GetModelRequest(model="m" * 2 * MAX_BYTES)))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    await handled(metrics, {("GetModel", "Canceled"): 1})


async def test_bytes_that_are_no_message(metrics: Metrics, channel: aio.Channel) -> None:
    code = await ends(channel.unary_unary("/rdserve.v1.VaeService/GetModel")(b"\xff"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    await handled(metrics, {("GetModel", "InvalidArgument"): 1})


@pytest.mark.parametrize("method", ["/rdserve.v1.VaeService/Nope", "/nobody/Nothing"])
async def test_an_unknown_method_has_no_label_of_its_own(
    metrics: Metrics, channel: aio.Channel, method: str
) -> None:
    assert await ends(channel.unary_unary(method)(b"")) == grpc.StatusCode.UNIMPLEMENTED
    await handled(metrics, {("unknown", "Unimplemented"): 1})


async def test_a_watcher_of_health_who_leaves_is_no_fault(
    metrics: Metrics, channel: aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    call = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=""))
    answer = await call.read()  # type: ignore[attr-defined]
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    # The message can be here before the server is told that it was sent.
    sent = "grpc_server_msg_sent_total"
    await asyncio.to_thread(until, lambda: counted(metrics, sent) == {("Watch",): 1})
    call.cancel()
    await handled(metrics, {("Watch", "Canceled"): 1})
    assert "internal error" not in caplog.text


async def test_known_methods_begin_at_zero(metrics: Metrics, stub: Any) -> None:
    series = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "grpc_server_handled_total" and sample.labels["grpc_method"] == "Score"
    ]
    assert len(series) == len(grpc.StatusCode)
    assert not any(sample.value for sample in series)
