"""Errors on the wire, from a real aio server whose handlers raise."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status
from rdserve.server import errors
from rdserve.server.grpc_api.interceptors.errors import PUSHBACK, ErrorsToStatus
from rdserve.v1.vae_pb2 import GetModelRequest, GetModelResponse, SampleRequest, SampleResponse
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, VaeServiceStub, add_VaeServiceServicer_to_server

CASES = [
    (
        errors.InvalidRequest("7 is not 8", field="images"),
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "BadRequest",
    ),
    (errors.UnknownModel("a", ["b"]), "NOT_FOUND", "MODEL_NOT_FOUND", "ResourceInfo"),
    (errors.FailedModel("damaged"), "FAILED_PRECONDITION", "MODEL_FAILED", None),
    (errors.ModelNotReady("loading"), "UNAVAILABLE", "MODEL_NOT_READY", "RetryInfo"),
    (errors.BackendUnavailable("gone"), "UNAVAILABLE", "WORKER_UNAVAILABLE", "RetryInfo"),
    (errors.Overloaded("full"), "RESOURCE_EXHAUSTED", "QUEUE_FULL", "RetryInfo"),
    (errors.OutOfMemory("too large"), "RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", None),
    (errors.NumericError("nan"), "INTERNAL", "NUMERIC_FAILURE", None),
    (ValueError("a secret"), "INTERNAL", "INTERNAL", None),
]


class Raising(VaeServiceServicer):
    def __init__(self) -> None:
        self.error: Exception = ValueError()

    async def GetModel(self, request: GetModelRequest, context: Any) -> GetModelResponse:
        raise self.error

    async def Sample(self, request: SampleRequest, context: Any) -> AsyncIterator[SampleResponse]:
        yield SampleResponse()
        raise self.error


@pytest.fixture
async def servicer() -> Raising:
    return Raising()


@pytest.fixture
async def stub(servicer: Raising) -> AsyncIterator[Any]:
    server = aio.server(interceptors=[ErrorsToStatus()])
    add_VaeServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield VaeServiceStub(channel)
    await server.stop(None)


async def failure(call: Any) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value


async def last(stream: Any) -> None:
    async for _ in stream:
        pass


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("error", "code", "reason", "detail"), CASES, ids=lambda value: type(value).__name__)
async def test_each_cause_has_its_code_and_details(
    servicer: Raising, stub: Any, error: Exception, code: str, reason: str, detail: str | None, streamed: bool
) -> None:
    servicer.error = error
    call = last(stub.Sample(SampleRequest())) if streamed else stub.GetModel(GetModelRequest())
    caught = await failure(call)
    assert caught.code() == grpc.StatusCode[code]
    status = rpc_status.from_call(caught)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("rdserve", reason)
    assert [d.TypeName() for d in status.details[1:]] == ([f"google.rpc.{detail}"] if detail else [])
    pushed = dict(caught.trailing_metadata() or ()).get(PUSHBACK)
    assert pushed == ("1000" if detail == "RetryInfo" else "-1")


async def test_a_bug_shows_its_id_only(
    servicer: Raising, stub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    servicer.error = ValueError("a secret")
    with caplog.at_level(logging.ERROR):
        caught = await failure(stub.GetModel(GetModelRequest()))
    (record,) = caplog.records
    error_id = record.args[0]  # type: ignore[index]
    assert error_id in (caught.details() or "")
    assert "secret" not in str(caught)
    assert "a secret" in caplog.text


async def test_a_long_message_fits_the_headers(servicer: Raising, stub: Any) -> None:
    servicer.error = errors.InvalidRequest("x" * 100_000, field="images")
    assert (await failure(stub.GetModel(GetModelRequest()))).code() == grpc.StatusCode.INVALID_ARGUMENT
