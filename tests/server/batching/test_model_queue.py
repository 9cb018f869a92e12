import asyncio
import math
from pathlib import Path

import numpy as np
import pytest
from queues import model_queue, scheduler
from rdserve.models.card import Card
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.errors import BackendUnavailable, NumericError, Overloaded
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import CallMeta, Reply
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest, ScoreResponse
from rdserve.v1.worker_pb2 import WorkReply, WorkRequest
from rdserve.wire import batches, tensors


def score(n: int, *, seed: int = 0, samples: int = 1) -> ScoreRequest:
    images = tensors.to_message(np.ones((n, 2, 2), bool))
    return ScoreRequest(model="m", images=images, noise=NoiseKeys(seed=seed), n_samples=samples)


class Model:
    """Answers rows with their seeds; holds calls until released, loses the first `lost`, fails 666."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.revocations: list[str] = []
        self.lost = 0
        self.gate = asyncio.Event()

    async def __call__(self, request: batches.Request, meta: CallMeta) -> Reply:
        seeds, _ = batches.row_keys(request.noise, batches.n_rows(request))
        self.calls.append(len(seeds))
        self.revocations.append(meta.revocation_file)
        await self.gate.wait()
        if self.lost:
            self.lost -= 1
            raise BackendUnavailable("gone", worker_ended=True)
        if 666 in seeds:
            raise NumericError("row of seed 666")
        return Reply(ScoreResponse(rate_nats=seeds.astype(float)))


async def started(model: Model, calls: int) -> None:
    while len(model.calls) < calls:
        await asyncio.sleep(0)


async def test_a_lone_request_goes_at_once_and_the_queue_goes_together() -> None:
    model = Model()
    lane = model_queue(model)
    answers = [asyncio.create_task(lane.submit(score(n, seed=n), max_rows=100)) for n in (1, 2, 3)]
    await started(model, 1)
    assert model.calls == [1]
    model.gate.set()
    assert [list((await answer).rate_nats) for answer in answers] == [[1], [2, 2], [3, 3, 3]]
    assert model.calls == [1, 5]


async def test_only_what_fits_and_matches_is_merged_and_nothing_is_overtaken_for_long() -> None:
    model = Model()
    lane = model_queue(model)
    requests = [score(1), score(3, seed=1), score(2, seed=2, samples=5), score(2, seed=3), score(1, seed=4)]
    answers = [asyncio.create_task(lane.submit(request, max_rows=4)) for request in requests]
    await started(model, 1)
    model.gate.set()
    got = [list((await answer).rate_nats) for answer in answers]
    assert got == [[0], [1, 1, 1], [2, 2], [3, 3], [4]]
    assert model.calls == [1, 4, 2, 2]


@pytest.mark.parametrize("alone", [1, 2])
async def test_who_travels_alone_is_joined_by_nobody_and_joins_nobody(alone: int) -> None:
    model = Model()
    lane = model_queue(model)
    most = [0 if n == alone else 9 for n in range(4)]
    answers = [asyncio.create_task(lane.submit(score(n + 1), max_rows=most[n])) for n in range(4)]
    await started(model, 1)
    model.gate.set()
    await asyncio.gather(*answers)
    assert sorted(model.calls) == {1: [1, 2, 7], 2: [1, 3, 6]}[alone]


async def test_a_bad_row_fails_its_own_caller_only() -> None:
    model = Model()
    lane = model_queue(model)
    answers = [asyncio.create_task(lane.submit(score(1, seed=seed), max_rows=9)) for seed in (0, 1, 666, 2)]
    model.gate.set()
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert isinstance(results[2], NumericError)
    assert [list(r.rate_nats) for r in results if isinstance(r, ScoreResponse)] == [[0], [1], [2]]


async def test_a_cancelled_request_never_reaches_the_model_and_a_sent_one_finishes() -> None:
    model = Model()
    lane = model_queue(model)
    sent, waiting, other = (asyncio.create_task(lane.submit(score(n, seed=n), max_rows=9)) for n in (1, 2, 3))
    await started(model, 1)
    sent.cancel()
    waiting.cancel()
    await asyncio.wait([sent, waiting])
    model.gate.set()
    assert list((await other).rate_nats) == [3, 3, 3]
    await lane.drain()
    assert model.calls == [1, 3]


async def test_a_call_is_revoked_when_its_last_caller_leaves(tmp_path: Path) -> None:
    model = Model()
    lane = model_queue(model, folder=tmp_path)
    first, *pair = (asyncio.create_task(lane.submit(score(n, seed=n), max_rows=9)) for n in (1, 2, 3))
    await started(model, 1)
    first.cancel()
    await asyncio.wait([first])
    (revoked,) = tmp_path.iterdir()
    assert str(revoked) == model.revocations[0]
    model.gate.set()
    model.gate = asyncio.Event()
    await started(model, 2)
    assert not revoked.exists()
    pair[0].cancel()
    await asyncio.wait(pair[:1])
    assert not list(tmp_path.iterdir())
    pair[1].cancel()
    await asyncio.wait(pair[1:])
    assert [str(file) for file in tmp_path.iterdir()] == model.revocations[1:]
    model.gate.set()
    await lane.drain()
    assert not list(tmp_path.iterdir())


async def test_what_was_lost_is_asked_again_with_nothing_else_under_way() -> None:
    """Only so is it known which request ends its worker: the last one, too, is joined by nobody."""
    model = Model()
    model.lost = 1
    queue = model_queue(model, slots=2)
    first = asyncio.create_task(queue.submit(score(1, seed=1), max_rows=9))
    await started(model, 1)
    model.gate.set()
    while queue.load != (1, 0):
        await asyncio.sleep(0)
    model.gate.clear()
    second = asyncio.create_task(queue.submit(score(2, seed=2), max_rows=1))
    queue.open()
    await started(model, 2)
    await asyncio.sleep(0)
    assert model.calls == [1, 1]
    assert queue.load == (1, 1)
    model.gate.set()
    await asyncio.gather(first, second)
    assert model.calls == [1, 1, 2]


async def test_what_is_given_up_before_it_was_sent_is_not_forgotten() -> None:
    model = Model()
    queue = model_queue(model)
    answer = asyncio.create_task(queue.submit(score(1, seed=1), max_rows=9))
    await asyncio.sleep(0)
    queue.abandon(BackendUnavailable("gone"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.calls == []
    assert queue.load == (1, 0)
    model.gate.set()
    queue.open()
    assert list((await answer).rate_nats) == [1]  # type: ignore[union-attr]


async def test_a_neighbour_of_a_bad_row_that_is_left_is_revoked(tmp_path: Path) -> None:
    model = Model()
    queue = model_queue(model, folder=tmp_path)
    calls = [asyncio.create_task(queue.submit(score(1, seed=seed), max_rows=9)) for seed in (0, 1, 666)]
    await started(model, 1)
    gate, model.gate = model.gate, asyncio.Event()
    gate.set()
    await started(model, 2)
    second, model.gate = model.gate, asyncio.Event()
    second.set()
    await started(model, 3)
    calls[1].cancel()
    await asyncio.wait([calls[1]])
    assert [str(file) for file in tmp_path.iterdir()] == model.revocations[2:]
    model.gate.set()
    await asyncio.gather(*calls, return_exceptions=True)
    await queue.drain()


def make_batcher(tmp_path: Path, calls: list[int], gate: asyncio.Event, **settings: int) -> Scheduler:
    async def call(model: str, work: bytes) -> bytes:
        request = WorkRequest.FromString(work).score
        calls.append(batches.n_rows(request))
        await gate.wait()
        _, ids = batches.row_keys(request.noise, batches.n_rows(request))
        return WorkReply(score=ScoreResponse(rate_nats=ids.astype(float))).SerializeToString()

    return scheduler(call, Settings(models=tmp_path, **settings))  # type: ignore[arg-type]


async def test_a_large_request_is_cut_and_joined(tmp_path: Path, card: Card) -> None:
    calls: list[int] = []
    gate = asyncio.Event()
    gate.set()
    batcher = make_batcher(tmp_path, calls, gate, max_batch_rows=16)
    response = await batcher.run(score(50, samples=2), card)
    assert list(response.rate_nats) == list(range(50))  # type: ignore[union-attr]
    assert max(calls) == 8
    assert sum(calls) == 50


async def test_a_cancelled_large_request_stops_costing(tmp_path: Path, card: Card) -> None:
    calls: list[int] = []
    gate = asyncio.Event()
    batcher = make_batcher(tmp_path, calls, gate, max_batch_rows=1)
    task = asyncio.create_task(batcher.run(score(100), card))
    while not calls:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    gate.set()
    await batcher.drain()
    assert len(calls) <= Settings(models=tmp_path).slots


@pytest.mark.parametrize("bound", [{"max_queued_requests": 2}, {"max_queued_bytes": 100}])
async def test_beyond_its_bounds_the_queue_refuses(
    tmp_path: Path,
    card: Card,
    bound: dict[str, int],
) -> None:
    gate = asyncio.Event()
    batcher = make_batcher(tmp_path, [], gate, **bound)
    admitted = [asyncio.create_task(batcher.run(score(4), card)) for _ in range(20)]
    gate.set()
    results = await asyncio.gather(*admitted, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert 0 < len(refused) < 20
    assert str(next(iter(bound.values()))) in refused[0].message
    again = await batcher.run(score(4), card)
    assert math.isfinite(sum(again.rate_nats))  # type: ignore[union-attr]
