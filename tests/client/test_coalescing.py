"""Calls that are merged by the client: what each caller keeps, over real servers, in threads and in tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from rdserve.client import AsyncClient, Cancelled, Client, DeadlineExceeded, errors, timings
from rdserve.data import load
from rdserve.v1.vae_pb2 import ScoreRequest, ScoreResponse
from scripted import scripted

IMAGES = load("digits", split="test").images[:40]
IMAGE = IMAGES[:1]


def answer(request: ScoreRequest) -> ScoreResponse:
    """Each row's answer is its example id."""
    ids = [float(each) for each in request.noise.example_ids]
    return ScoreResponse(rate_nats=ids, distortion_nats=ids, importance_bound_nats=ids, importance_ess=ids)


class Gate:
    """A server that holds its first call back until `open`, so that others gather behind it; later ones are
    answered by `then`. asked: the example ids of each call."""

    def __init__(self, then: Callable[[ScoreRequest, grpc.ServicerContext], Any] | None = None) -> None:
        self.asked: list[list[int]] = []
        self.held, self.opened = Event(), Event()
        self._then = then

    def __call__(self, request: ScoreRequest, context: grpc.ServicerContext) -> Any:
        self.asked.append(list(request.noise.example_ids))
        if len(self.asked) == 1:
            self.held.set()
            self.opened.wait()
        elif self._then is not None:
            return self._then(request, context)
        return answer(request)


@contextmanager
def patient() -> Iterator[None]:
    """Nobody goes beside a call under way, however busy the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rdserve.client.lane.PATIENCE_SECONDS", 3600.0)
        patch.setattr("rdserve.client.blocking_transport.BlockingTransport.linger_seconds", 0.0)
        yield


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def waiting(client: AsyncClient) -> int:
    """How many wait for company."""
    coalescer = client._caller.coalescer
    assert coalescer is not None
    return sum(len(lane._waiting) for lane in coalescer._lanes.values())


@contextmanager
def gathered(gate: Gate) -> Iterator[str]:
    with patient(), scripted(Score=gate) as address:
        try:
            yield address
        finally:
            gate.opened.set()


async def crowd(
    client: AsyncClient, gate: Gate, ids: range, call: Callable[[int], Awaitable[Any]]
) -> list[asyncio.Task[Any]]:
    """A call that is held back, and one for each id that waits behind it."""
    first = asyncio.create_task(client.score("m", IMAGE, example_ids=np.array([1000])))
    await asyncio.to_thread(gate.held.wait)
    tasks = [asyncio.ensure_future(call(number)) for number in ids]
    await until(lambda: waiting(client) == len(ids))
    return [first, *tasks]


async def test_those_who_come_meanwhile_go_together() -> None:
    gate = Gate()
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True) as client:

            async def one(number: int) -> Any:
                return await client.score("m", IMAGE, example_ids=np.array([number]))

            first, *rest = await crowd(client, gate, range(10), one)
            gate.opened.set()
            assert (await first).rate_nats.tolist() == [1000.0]
            assert [(await each).rate_nats.tolist() for each in rest] == [[float(n)] for n in range(10)]
            assert waiting(client) == 0
    assert gate.asked == [[1000], list(range(10))]


def test_threads_go_together_too() -> None:
    gate = Gate()
    with gathered(gate) as address, Client(address, coalesce=True) as client, ThreadPoolExecutor(11) as pool:

        def one(number: int) -> Any:
            return client.score("m", IMAGE, example_ids=np.array([number])).rate_nats.tolist()

        first = pool.submit(one, 1000)
        gate.held.wait()
        rest = [pool.submit(one, number) for number in range(10)]
        asyncio.run(until(lambda: waiting(client._base) == 10))  # type: ignore[arg-type]
        gate.opened.set()
        assert first.result() == [1000.0]
        assert [each.result() for each in rest] == [[float(number)] for number in range(10)]
    assert [sorted(ids) for ids in gate.asked] == [[1000], list(range(10))]


async def test_one_bad_row_of_32_fails_alone() -> None:
    def picky(request: ScoreRequest, context: grpc.ServicerContext) -> ScoreResponse:
        if 7 in request.noise.example_ids:
            context.abort(grpc.StatusCode.INTERNAL, "row 7 is NaN")
        return answer(request)

    gate = Gate(picky)
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True) as client:

            async def one(number: int) -> Any:
                return await client.score("m", IMAGE, example_ids=np.array([number]))

            _, *rest = await crowd(client, gate, range(32), one)
            gate.opened.set()
            results = await asyncio.gather(*rest, return_exceptions=True)
    assert [number for number, each in enumerate(results) if isinstance(each, BaseException)] == [7]
    assert isinstance(results[7], errors.Internal)
    assert str(results[7]) == "row 7 is NaN"
    assert gate.asked[1] == list(range(32))
    assert sorted(gate.asked[2:]) == [[number] for number in range(32)]


async def test_each_keeps_its_own_deadline() -> None:
    """A client's timeout holds for all its calls, so the coalescer is asked itself."""
    gate, served = Gate(lambda request, _: (served.wait(), answer(request))[1]), Event()
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True, timeout=60) as client:
            caller = client._caller

            async def one(number: int) -> Any:
                object.__setattr__(caller, "timeout", 0.05 if number == 3 else 60.0)
                return await client.score("m", IMAGE, example_ids=np.array([number]))

            first, *rest = await crowd(client, gate, range(5), one)
            with pytest.raises(DeadlineExceeded, match="no answer within"):
                await rest[3]
            assert not any(task.done() for task in (first, *rest[:3], rest[4]))
            gate.opened.set()
            await until(lambda: len(gate.asked) == 2)
            served.set()
            answers = [(await rest[number]).rate_nats.tolist() for number in (0, 1, 2, 4)]
    assert answers == [[0.0], [1.0], [2.0], [4.0]]
    assert gate.asked[1] == [0, 1, 2, 4]  # who had left cost nothing


async def test_who_is_alone_behind_a_call_that_hangs_does_not_wait_for_it() -> None:
    gate = Gate()
    with scripted(Score=gate) as address:
        async with AsyncClient(address, coalesce=True) as client:
            first = asyncio.create_task(client.score("m", IMAGE))
            await asyncio.to_thread(gate.held.wait)
            assert (await client.score("m", IMAGE, example_ids=np.array([5]))).rate_nats.tolist() == [5.0]
            assert not first.done()
            gate.opened.set()
            await first


async def test_a_request_that_all_have_left_is_cancelled() -> None:
    ended = Event()

    def hang(_: ScoreRequest, context: grpc.ServicerContext) -> None:
        context.add_callback(ended.set)
        ended.wait()

    gate = Gate(hang)
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True) as client:

            async def one(number: int) -> Any:
                return await client.score("m", IMAGE, example_ids=np.array([number]))

            first, *rest = await crowd(client, gate, range(3), one)
            gate.opened.set()
            await first
            await until(lambda: len(gate.asked) == 2)
            for task in rest[:2]:
                task.cancel()
            await asyncio.wait(rest[:2])
            assert not ended.is_set()
            rest[2].cancel()
            await asyncio.to_thread(ended.wait)


async def test_failures_of_all_are_each_one_s_and_passing_ones_are_tried_again_together() -> None:
    said: Iterator[grpc.StatusCode] = iter([grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND])

    def fail(_: ScoreRequest, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "1"),))
        context.abort(next(said, grpc.StatusCode.NOT_FOUND), "said so")

    gate = Gate(fail)
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True) as client:

            async def one(number: int) -> Any:
                return await client.score("m", IMAGE, example_ids=np.array([number]))

            _, *rest = await crowd(client, gate, range(8), one)
            gate.opened.set()
            results = await asyncio.gather(*rest, return_exceptions=True)
    assert [type(each) for each in results] == [errors.NotFound] * 8
    assert gate.asked[1] == list(range(8))
    assert sorted(number for ids in gate.asked[2:] for number in ids) == list(range(8))


async def test_a_reply_with_too_few_rows_is_nobody_s_but_each_asks_again() -> None:
    def short(request: ScoreRequest, _: Any) -> ScoreResponse:
        ids = list(request.noise.example_ids)
        return answer(ScoreRequest(noise={"example_ids": ids[1:] if len(ids) > 1 else ids}))

    gate = Gate(short)
    with gathered(gate) as address:
        async with AsyncClient(address, coalesce=True) as client:

            async def one(number: int) -> Any:
                return (await client.score("m", IMAGE, example_ids=np.array([number]))).rate_nats.tolist()

            _, *rest = await crowd(client, gate, range(4), one)
            gate.opened.set()
            assert await asyncio.gather(*rest) == [[0.0], [1.0], [2.0], [3.0]]


async def test_closing_ends_those_who_wait_for_company() -> None:
    gate = Gate()
    with gathered(gate) as address:
        client = AsyncClient(address, coalesce=True)

        async def one(number: int) -> Any:
            return await client.score("m", IMAGE, example_ids=np.array([number]))

        tasks = await crowd(client, gate, range(3), one)
        await client.close()
        for task in tasks:
            with pytest.raises(Cancelled):
                await task


def test_closing_ends_threads_that_wait_for_company() -> None:
    gate = Gate()
    with gathered(gate) as address, ThreadPoolExecutor(3) as pool:
        client = Client(address, coalesce=True)
        tasks = [pool.submit(client.score, "m", IMAGE)]
        gate.held.wait()
        tasks += [pool.submit(client.score, "m", IMAGE) for _ in range(2)]
        asyncio.run(until(lambda: waiting(client._base) == 2))  # type: ignore[arg-type]
        client.close()
        for task in tasks:
            with pytest.raises(Cancelled):
                task.result()


def test_threads_get_what_they_get_alone_and_their_own_timings(in_process_service: str) -> None:
    calls = [
        (op, model, number % 5 + 1, number % 3 + 1, number)
        for number, (op, model) in enumerate(
            (op, model) for op in ("encode", "score", "reconstruct") for model in ("tiny-mmm", "tiny-mpv") * 4
        )
    ]
    with Client(in_process_service) as plain, Client(in_process_service, coalesce=True) as client:

        def ask(asked: Client, op: str, model: str, n: int, k: int, seed: int) -> Any:
            ids = np.arange(seed, seed + n)
            return getattr(asked, op)(model, IMAGES[:n], n_samples=k, seed=seed, example_ids=ids)

        def timed(call: tuple[str, str, int, int, int]) -> Any:
            with timings() as times:
                result = ask(client, *call)
            assert len(times) == 1
            assert times[0].request_id
            return result

        with ThreadPoolExecutor(12) as pool:
            for call, got in zip(calls * 3, pool.map(timed, calls * 3), strict=True):
                for name, value in vars(ask(plain, *call)).items():
                    np.testing.assert_allclose(getattr(got, name), value, rtol=1e-4, atol=1e-4)
