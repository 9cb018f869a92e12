"""Many large uploads at once: a bounded number is on its way, and the front's memory with it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import http2
import numpy as np
import psutil
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import aio
from grpc_status import rpc_status
from rdserve.client import Client
from rdserve.server.grpc_api.interceptors.admission import UploadAdmission
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.v1.vae_pb2 import DTYPE_UINT8, ScoreRequest, Tensor
from rdserve.wire.limits import MIB
from running import Running, start_with, until_serving

pytestmark = pytest.mark.service

SCORE = "/rdserve.v1.VaeService/Score"
UPLOADS = 24
SIZE = 40 * MIB
ONE = np.zeros((1, 8, 8), bool)


def peak(process: int) -> int:
    """Bytes that it ever held in memory."""
    (line,) = (x for x in Path(f"/proc/{process}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def narrow(checkpoints: Path) -> Iterator[Running]:
    """A service over one tiny model that takes two messages at a time."""
    running = start_with(checkpoints / "tiny-mmm", backend="in-process", max_uploads=2)
    yield until_serving(running)
    running.stop()


def upload(address: str, body: bytes) -> grpc.RpcError:
    """The error that an upload for a model of other images ends in, over a connection of its own."""
    options = [("grpc.max_send_message_length", 64 * MIB), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel:
        call = channel.unary_unary(SCORE)
        with pytest.raises(grpc.RpcError) as caught:
            call(body, timeout=120)
    return caught.value


def test_memory_is_bounded_whatever_is_uploaded_at_once(narrow: Running) -> None:
    front = psutil.Process(narrow.process.pid)
    images = Tensor(dtype=DTYPE_UINT8, shape=[10, 2048, 2048], data=bytes(SIZE))
    body = ScoreRequest(model="tiny-mmm", images=images).SerializeToString()
    before = front.memory_info().rss
    with ThreadPoolExecutor(UPLOADS) as pool:
        errors: list[Future[Any]] = [pool.submit(upload, narrow.address, body) for _ in range(UPLOADS)]
        with Client(narrow.address, timeout=60) as client:
            assert np.isfinite(client.score("tiny-mmm", ONE).rate_nats).all()
        codes = {error.result().code() for error in errors}
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    # Two on their way, each of them twice while it is joined and parsed, and what the allocator keeps.
    # And, of each that waits, what HTTP/2 lets come unasked.
    assert peak(front.pid) - before < 0.75 * UPLOADS * SIZE


def echo(most: int, **times: float) -> Any:
    """A server that echoes bytes behind an intake."""

    async def answer(request: Tensor, context: object) -> bytes:
        return request.SerializeToString()

    handler = grpc.unary_unary_rpc_method_handler(answer, request_deserializer=Tensor.FromString)
    server = aio.server(interceptors=[ErrorsToStatus(), UploadAdmission("/echo/", most, **times)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Call": handler}),))
    return server


@contextlib.asynccontextmanager
async def full(server: Any) -> AsyncIterator[tuple[aio.Channel, list[socket.socket]]]:
    """A channel to a server, and the connections of two calls whose messages never come."""
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with aio.insecure_channel(address) as channel:
        assert await channel.unary_unary("/echo/Call")(b"") == b""
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(http2.greet(address)) for _ in range(2)]
            for connection in connections:
                connection.sendall(http2.headers(1, "/echo/Call"))
            yield channel, connections
    await server.stop(None)


async def calls(channel: aio.Channel) -> None:
    """One after another, for ever."""
    while True:
        assert await channel.unary_unary("/echo/Call")(b"") == b""


async def test_who_finds_no_room_is_told_when_to_come_again() -> None:
    async with full(echo(2, slow=600, patience=0.05)) as (channel, _):
        with pytest.raises(aio.AioRpcError) as caught:
            await calls(channel)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    assert any(each.Is(RetryInfo.DESCRIPTOR) for each in status.details)
    assert "128 MiB of messages are here or on their way, at most 128 may be" in status.message


async def test_a_message_that_never_comes_gives_way() -> None:
    """One of the two is hung up on; calls go on all the while."""
    async with full(echo(2, slow=0.05, patience=600)) as (channel, connections):
        gone = [asyncio.to_thread(http2.until, each, http2.HEADERS) for each in connections]
        waiting = [asyncio.ensure_future(each) for each in gone]
        going_on = asyncio.create_task(calls(channel))
        done, rest = await asyncio.wait([going_on, *waiting], return_when=asyncio.FIRST_COMPLETED)
        assert going_on not in done
        going_on.cancel()
        for connection in connections:
            connection.shutdown(socket.SHUT_RDWR)
        await asyncio.gather(*done, *rest, return_exceptions=True)
