"""Every status that a server can send arrives as its own type, details included."""

import socket
from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from rdserve.client import Client, ReplyError, errors
from rdserve.v1 import vae_pb2
from rdserve.wire import tensors
from scripted import scripted

IMAGE = np.zeros((1, 8, 8), bool)
# Those that the channel's policy retries make the test wait; they have their own below.
RETRIED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
STATUSES = [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK]


def rich(code: grpc.StatusCode, message: str, *details: Message) -> Any:
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return rpc_status.to_status(Status(code=code.value[0], message=message, details=packed))


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.name)
def test_every_status_has_its_own_type(status: grpc.StatusCode) -> None:
    def abort(_: Any, context: grpc.ServicerContext) -> None:
        if status in RETRIED:  # "never": a negative pushback
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "-1"),))
        context.abort(status, "said so")

    with (
        scripted(GetModel=abort) as address,
        Client(address) as client,
        pytest.raises(errors.ServiceError, match="said so") as caught,
    ):
        client.model("m")
    assert caught.value.status is status
    assert type(caught.value).__name__.lower() == status.name.replace("_", "").lower()
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_reason_fields_and_delay_are_read_from_the_details() -> None:
    violation = BadRequest.FieldViolation(field="images", description="grey")
    details = (
        ErrorInfo(reason="INVALID_ARGUMENT", domain="rdserve", metadata={"field": "images"}),
        ResourceInfo(resource_name="ignored"),
        BadRequest(field_violations=[violation]),
        RetryInfo(retry_delay={"seconds": 1, "nanos": 500_000_000}),
    )

    def abort(_: Any, context: grpc.ServicerContext) -> None:
        context.abort_with_status(rich(grpc.StatusCode.INVALID_ARGUMENT, "grey pixels", *details))

    with (
        scripted(Score=abort) as address,
        Client(address) as client,
        pytest.raises(errors.InvalidArgument, match="grey pixels") as caught,
    ):
        client.score("m", IMAGE)
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert caught.value.metadata == {"field": "images"}
    assert caught.value.fields == {"images": "grey"}
    assert caught.value.retry_after_s == 1.5


def test_details_that_contradict_the_status_are_dropped() -> None:
    details = rich(grpc.StatusCode.NOT_FOUND, "no such model", ErrorInfo(reason="MODEL_NOT_FOUND"))

    def abort(_: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(details.trailing_metadata)
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "the proxy says no")

    with (
        scripted(GetModel=abort) as address,
        Client(address) as client,
        pytest.raises(errors.PermissionDenied, match="the proxy says no") as caught,
    ):
        client.model("m")
    assert caught.value.reason == ""


def test_unavailable_and_full_queues_are_tried_again() -> None:
    attempts = count()

    def flaky(_: Any, context: grpc.ServicerContext) -> vae_pb2.ListModelsResponse:
        attempt = next(attempts)
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "1"),))
        if attempt < 2:
            context.abort([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED][attempt], "busy")
        return vae_pb2.ListModelsResponse()

    with scripted(ListModels=flaky) as address, Client(address) as client:
        assert client.models() == []
    assert next(attempts) == 3


def test_no_server_is_unavailable() -> None:
    with scripted() as address:
        pass
    words = f"{address}: nothing answers there"
    with Client(address, timeout=30) as client, pytest.raises(errors.Unreachable, match=words) as caught:
        client.models()
    assert isinstance(caught.value, ConnectionError)


def test_a_deadline_before_there_is_a_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        words = rf"{address}: no connection within 0\.3 s"
        with Client(address, timeout=0.3) as client, pytest.raises(errors.Unreachable, match=words):
            client.models()


def test_a_deadline_that_passes_is_a_timeout() -> None:
    def never(_: Any, context: grpc.ServicerContext) -> None:
        from threading import Event

        ended = Event()
        context.add_callback(ended.set)
        ended.wait()

    with (
        scripted(ListModels=never) as address,
        Client(address, timeout=0.2) as client,
        pytest.raises(TimeoutError, match=rf"{address}: no answer within 0\.2 s"),
    ):
        client.models()


def reply(n: int, **broken: Any) -> vae_pb2.ReconstructResponse:
    latents = tensors.to_message(np.zeros((n, 4), np.float32))
    images = tensors.to_message(np.zeros((n, 1, 8, 8), np.uint8))
    return vae_pb2.ReconstructResponse(**{"latents": latents, "images": images} | broken)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (reply(2), "asked for 1 rows, latents came back with 2"),
        (reply(1, images=vae_pb2.Tensor(dtype=3, shape=[1, 1, 8, 8], data=b"x")), "images: .*needs 64 bytes"),
    ],
)
def test_a_reply_that_breaks_the_contract_is_no_result(
    response: vae_pb2.ReconstructResponse, message: str
) -> None:
    with (
        scripted(Reconstruct=lambda *_: response) as address,
        Client(address) as client,
        pytest.raises(ReplyError, match=message),
    ):
        client.reconstruct("m", IMAGE)


def test_a_stream_that_ends_early_is_no_result() -> None:
    def two(*_: Any) -> Iterator[vae_pb2.SampleResponse]:
        latents = tensors.to_message(np.zeros((2, 4), np.float32))
        yield vae_pb2.SampleResponse(latents=latents, images=reply(2).images)

    with (
        scripted(Sample=two) as address,
        Client(address) as client,
        pytest.raises(ReplyError, match="asked for 5 samples, 3 never came"),
    ):
        client.sample("m", 5)
