"""A server that says anything: the client returns a result or raises its own error, whatever comes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdserve.client import Client, RdserveError, errors
from rdserve.v1 import vae_pb2
from scripted import scripted

DETAILS = "grpc-status-details-bin"
STATUSES = [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK]
IMAGE = np.zeros((1, 8, 8), bool)
NEVER = ("grpc-retry-pushback-ms", "-1")


class Script:
    """What the server says next: a reply, or a status with trailing metadata."""

    def __init__(self) -> None:
        self.reply: Any = None
        self.status = grpc.StatusCode.UNKNOWN
        self.details = b""

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.reply is not None:
            return self.reply
        context.set_trailing_metadata(((DETAILS, self.details), NEVER))
        context.abort(self.status, "said so")

    def stream(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield self(request, context)


@pytest.fixture(scope="module")
def script() -> Script:
    return Script()


@pytest.fixture(scope="module")
def client(script: Script) -> Iterator[Client]:
    methods = ("Encode", "Decode", "Reconstruct", "Score", "GetModel", "ListModels")
    handlers = dict.fromkeys(methods, script) | {"Sample": script.stream}
    with scripted(**handlers) as address, Client(address, timeout=30) as client:
        yield client


def packed(*details: Any) -> bytes:
    status = Status(code=5, message="said so")
    for detail in details:
        status.details.add().Pack(detail)
    return status.SerializeToString()


def _half(detail: Any) -> bytes:
    """A detail whose bytes are cut in the middle."""
    status = Status(code=5, message="said so")
    status.details.add().Pack(detail)
    status.details[0].value = status.details[0].value[:-1]
    return status.SerializeToString()


DETAIL = st.one_of(
    st.binary(max_size=100),
    st.sampled_from(
        [
            packed(ErrorInfo(reason="A", domain="b")),
            packed(RetryInfo(retry_delay={"seconds": 2**62, "nanos": -5})),
            packed(RetryInfo(retry_delay={"seconds": -(2**62)})),
            packed(BadRequest(), BadRequest(), RetryInfo()),
            _half(ErrorInfo(reason="A" * 20, domain="b")),
            _half(RetryInfo(retry_delay={"seconds": 1000})),
        ]
    ),
)
fuzz = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzz
@given(status=st.sampled_from(STATUSES), details=DETAIL)
def test_details_of_any_bytes_leave_the_status(
    client: Client, script: Script, status: grpc.StatusCode, details: bytes
) -> None:
    script.reply, script.status, script.details = None, status, details
    for call in (lambda: client.model("m"), lambda: client.score("m", IMAGE), lambda: client.sample("m", 1)):
        with pytest.raises(errors.ServiceError) as caught:
            call()
        assert caught.value.status is status
        assert str(caught.value) == "said so"


tensors = st.builds(
    vae_pb2.Tensor,
    dtype=st.integers(0, 5),
    shape=st.lists(st.integers(-1, 4), max_size=5),
    data=st.binary(max_size=40),
)
numbers = st.lists(st.floats(), max_size=3)
REPLIES: dict[str, st.SearchStrategy[Any]] = {
    "encode": st.builds(
        vae_pb2.EncodeResponse, posterior_mode=tensors, posterior_scale=tensors, latents=tensors
    ),
    "reconstruct": st.builds(vae_pb2.ReconstructResponse, latents=tensors, images=tensors),
    "score": st.builds(
        vae_pb2.ScoreResponse,
        rate_nats=numbers,
        distortion_nats=numbers,
        importance_bound_nats=numbers,
        importance_ess=numbers,
    ),
    "sample": st.builds(vae_pb2.SampleResponse, latents=tensors, images=tensors),
    "model": st.builds(
        vae_pb2.GetModelResponse,
        model=st.builds(
            vae_pb2.Model,
            name=st.text(max_size=5),
            state=st.integers(-3, 9),
            image_shape=st.lists(st.integers(-1, 4), max_size=3),
        ),
    ),
}


@pytest.mark.parametrize("op", REPLIES)
def test_replies_that_parse_are_results_or_errors(client: Client, script: Script, op: str) -> None:
    call = getattr(client, op)
    arguments = {"model": ("m",), "sample": ("m", 1)}.get(op, ("m", IMAGE))

    @fuzz
    @given(reply=REPLIES[op])
    def try_one(reply: Any) -> None:
        script.reply = reply
        with suppress(RdserveError):
            call(*arguments)

    try_one()
