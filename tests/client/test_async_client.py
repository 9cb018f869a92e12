"""AsyncClient against the same servers as Client: the same answers and errors, awaited."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import fields
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from front import Front
from grpc_health.v1.health_pb2 import HealthCheckResponse
from numpy.typing import NDArray
from rdserve.client import AsyncClient, Client, InputError, chunking, errors, timings
from rdserve.client.compare_stream import ModelRows
from rdserve.data import load
from rdserve.v1 import vae_pb2
from scripted import scripted

IMAGES = load("digits", split="test").images[:40]
MODELS = ("tiny-mmm", "tiny-mpv", "tiny-ppp")
PUSHBACK = "grpc-retry-pushback-ms"


@pytest.fixture
async def client(in_process_service: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(in_process_service) as client:
        yield client


@pytest.fixture(scope="module")
def blocking(in_process_service: str) -> Iterator[Client]:
    with Client(in_process_service) as client:
        yield client


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "MAX_ROWS", 7)


def same(a: object, b: object) -> None:
    """Fields are equal, to float32's last digits."""
    assert type(a) is type(b)
    for field in fields(a):  # type: ignore[arg-type]
        np.testing.assert_allclose(getattr(a, field.name), getattr(b, field.name), rtol=1e-5, atol=1e-5)


def never_answers(called: Event, ended: Event) -> Any:
    def hang(_: Any, context: grpc.ServicerContext) -> None:
        context.add_callback(ended.set)
        called.set()
        ended.wait()

    return hang


@pytest.mark.usefixtures("small_chunks")
async def test_every_call_answers_as_the_blocking_one(client: AsyncClient, blocking: Client) -> None:
    await client.wait_for_ready()
    assert await client.models() == blocking.models()
    assert await client.model("tiny-mpv") == blocking.model("tiny-mpv")
    for op in ("encode", "reconstruct", "score"):
        ours, theirs = (
            getattr(each, op)("tiny-mpv", IMAGES, n_samples=2, seed=3) for each in (client, blocking)
        )
        same(await ours, theirs)
    latents = blocking.encode("tiny-mpv", IMAGES).posterior_mode
    same(await client.decode("tiny-mpv", latents), blocking.decode("tiny-mpv", latents))
    same(await client.sample("tiny-ppp", 9, seed=4), blocking.sample("tiny-ppp", 9, seed=4))


async def test_samples_and_comparisons_are_iterated_over(client: AsyncClient, blocking: Client) -> None:
    parts = [part async for part in client.stream_samples("tiny-mmm", 40, seed=1)]
    assert len(parts) > 1
    whole = blocking.sample("tiny-mmm", 40, seed=1)
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    came: dict[str, list[NDArray[np.float64]]] = {}
    async for rows in client.score_models([*MODELS, "nope"], IMAGES):
        if isinstance(rows, ModelRows):
            came.setdefault(rows.model, []).append(rows.score.rate_nats)
        else:
            assert (rows.model, type(rows.error)) == ("nope", errors.NotFound)
    for name in MODELS:
        expected = blocking.score(name, IMAGES).rate_nats
        np.testing.assert_allclose(np.concatenate(came[name]), expected, rtol=1e-5, atol=1e-5)


async def test_tasks_share_a_client_and_their_timings_are_their_own(client: AsyncClient) -> None:
    async def one(number: int) -> int:
        with timings() as calls:
            for _ in range(number):
                await client.score("tiny-mmm", IMAGES[:1])
        assert all(call.request_id for call in calls)
        return len(calls)

    assert await asyncio.gather(*map(one, range(4))) == [0, 1, 2, 3]


async def test_errors_have_the_same_types_and_words(client: AsyncClient, blocking: Client) -> None:
    for model, images in (("nope", IMAGES), ("tiny-mmm", np.zeros((2, 9, 9), bool)), ("m", IMAGES * 0.5)):
        with pytest.raises(errors.RdserveError) as ours:
            await client.score(model, images)
        with pytest.raises(type(ours.value)) as theirs:
            blocking.score(model, images)
        assert str(ours.value).split(" [request")[0] == str(theirs.value).split(" [request")[0]
    with pytest.raises(InputError, match="its own token"):
        AsyncClient(channel=grpc.aio.insecure_channel("localhost:1"), token="x")


async def test_what_passes_is_tried_again_and_what_lasts_is_told_in_words() -> None:
    attempts = count()

    def flaky(_: Any, context: grpc.ServicerContext) -> vae_pb2.ListModelsResponse:
        attempt = next(attempts)
        context.set_trailing_metadata(((PUSHBACK, "1"),))
        if attempt < 2:
            context.abort([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED][attempt], "busy")
        return vae_pb2.ListModelsResponse()

    with scripted(ListModels=flaky) as address:
        async with AsyncClient(address) as client:
            assert await client.models() == []
    assert next(attempts) == 3
    async with AsyncClient(address, timeout=30) as client:
        with pytest.raises(errors.Unreachable, match=f"{address}: nothing answers there"):
            await client.models()


async def test_a_deadline_that_passes_is_a_timeout() -> None:
    with scripted(ListModels=never_answers(Event(), Event())) as address:
        async with AsyncClient(address, timeout=0.2) as client:
            with pytest.raises(TimeoutError, match=rf"{address}: no answer within 0\.2 s"):
                await client.models()


async def test_a_cancelled_task_cancels_its_call() -> None:
    called, ended = Event(), Event()
    with scripted(Score=never_answers(called, ended)) as address:
        async with AsyncClient(address) as client:
            task = asyncio.create_task(client.score("m", IMAGES))
            await asyncio.to_thread(called.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(ended.wait)


async def test_closing_ends_what_others_wait_for() -> None:
    called = Event()

    def later(_: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(((PUSHBACK, "3600000"),))
        context.add_callback(between.set)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "in an hour")

    between = Event()
    with scripted(Score=never_answers(called, Event()), Encode=later) as address:
        client = AsyncClient(address, timeout=7200)
        waiting = [asyncio.create_task(call("m", IMAGES)) for call in (client.score, client.encode)]
        for event in (called, between):
            await asyncio.to_thread(event.wait)
        await client.close()
        for task in waiting:
            with pytest.raises(errors.Cancelled):
                await task
        with pytest.raises(InputError, match=f"this client of {address} was closed"):
            await client.models()


async def test_leaving_a_stream_cancels_it() -> None:
    ended = Event()

    def endless(_: Any, context: grpc.ServicerContext) -> Iterator[vae_pb2.SampleResponse]:
        context.add_callback(ended.set)
        tensor = vae_pb2.Tensor(dtype=vae_pb2.DTYPE_UINT8, shape=[1, 1, 2, 2], data=b"\0" * 4)
        latents = vae_pb2.Tensor(dtype=vae_pb2.DTYPE_FLOAT32, shape=[1, 1], data=b"\0" * 4)
        while not ended.is_set():
            yield vae_pb2.SampleResponse(latents=latents, images=tensor)

    with scripted(Sample=endless) as address:
        async with AsyncClient(address) as client, aclosing(client.stream_samples("m", 10**6)) as parts:
            async for part in parts:
                assert len(part.latents) == 1
                break
        await asyncio.to_thread(ended.wait)


async def test_another_thread_s_loop_is_told_to_make_its_own(client: AsyncClient) -> None:
    await client.models()
    with pytest.raises(InputError, match="belongs to the event loop in which it was first used"):
        await asyncio.to_thread(lambda: asyncio.run(client.models()))


def test_it_may_be_made_before_there_is_a_loop(in_process_service: str) -> None:
    client = AsyncClient(in_process_service)

    async def use() -> int:
        async with client:
            return len(await client.models())

    assert asyncio.run(use()) == len(MODELS)
    asyncio.run(AsyncClient(in_process_service).close())


async def test_the_blocking_client_works_in_a_running_loop(blocking: Client) -> None:
    """As in a notebook."""
    assert len(blocking.score("tiny-mmm", IMAGES).rate_nats) == len(IMAGES)
    assert sum(len(part.latents) for part in blocking.stream_samples("tiny-mmm", 20)) == 20
    assert sum(len(part) for part in (rows.score.rate_nats for rows in rows_of(blocking))) == len(IMAGES)


def rows_of(client: Client) -> Iterator[ModelRows]:
    for rows in client.score_models(["tiny-mmm"], IMAGES):
        assert isinstance(rows, ModelRows)
        yield rows


async def test_a_server_that_comes_back_is_found_again(front: Any, store: Path) -> None:
    first: Front = front(store)
    host, port = first.address.rsplit(":", 1)
    async with AsyncClient(first.address) as client:
        before = await client.score("tiny-mpv", IMAGES)
        await asyncio.to_thread(first.stop)
        with pytest.raises(errors.Unavailable):
            await client.models()
        await asyncio.to_thread(front, store, host=host, port=int(port))
        after = await client.score("tiny-mpv", IMAGES)
    np.testing.assert_array_equal(after.rate_nats, before.rate_nats)


async def test_a_service_that_does_not_serve_is_waited_for_so_long() -> None:
    with scripted(health=HealthCheckResponse.NOT_SERVING) as address:
        async with AsyncClient(address) as client:
            with pytest.raises(errors.DeadlineExceeded, match=r"within 0\.2 s"):
                await client.wait_for_ready(timeout=0.2)
