"""Compare, in parts and over real gRPC."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from queues import scheduler
from rdserve.client import Client, InputError, Score, errors
from rdserve.client.compare_stream import CompareStream, ModelFailure, ModelRows
from rdserve.client.results import concatenate
from rdserve.models.card import Card
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.compare import compare
from rdserve.server.registry import ModelRegistry
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import Placement
from rdserve.v1.vae_pb2 import CompareRequest, CompareResponse, NoiseKeys, ScoreResponse
from rdserve.v1.worker_pb2 import WorkReply, WorkRequest
from rdserve.wire import batches, tensors
from scripted import scripted

MODELS = ["tiny-mmm", "tiny-mpv", "tiny-ppp"]
IMAGES = np.random.default_rng(1).random((300, 8, 8)) < 0.3
Calls = list[tuple[str, int]]
Compare = Callable[[CompareRequest], AsyncIterator[CompareResponse]]


def request(*models: str, n: int = 3, **changes: Any) -> CompareRequest:
    images = tensors.to_message(IMAGES[:n])
    return CompareRequest(models=models, images=images, noise=NoiseKeys(seed=1), **changes)


@pytest.fixture
def calls() -> Calls:
    """The rows of every call that reached a model, in order."""
    return []


@pytest.fixture
def stuck() -> asyncio.Event:
    """Until it is set, the model "slow" does not answer."""
    return asyncio.Event()


@pytest.fixture
def comparing(card: Card, calls: Calls, stuck: asyncio.Event) -> Compare:
    """compare(request) over the models slow, bad (a bug), lost (no worker) and fine."""

    async def call(model: str, work: bytes) -> bytes:
        asked = WorkRequest.FromString(work).score
        seeds, _ = batches.row_keys(asked.noise, batches.n_rows(asked))
        calls.append((model, len(seeds)))
        if model == "slow":
            await stuck.wait()
        if model == "bad":
            raise ZeroDivisionError
        return WorkReply(score=ScoreResponse(rate_nats=seeds.astype(float))).SerializeToString()

    catalogue = ModelRegistry()
    for name in ("slow", "bad", "fine"):
        catalogue.serving(name, card.model_copy(update={"name": name}), Placement())
    catalogue.failed("lost", "no worker")
    batcher = scheduler(call, Settings(models=Path(), max_batch_rows=2))
    return lambda asked: compare(asked, catalogue, batcher)


async def test_a_slow_model_holds_nobody_back_and_failures_come_one_by_one(
    comparing: Compare, stuck: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    stream = comparing(request("slow", "bad", "nope", "lost", "fine"))
    first = [await anext(stream) for _ in range(5)]
    reasons = {m.model: m.error.message for m in first if m.WhichOneof("result") == "error"}
    assert "no model 'nope' here; there are: bad, fine, lost, slow" in reasons["nope"]
    assert "no worker" in reasons["lost"]
    assert "internal error" in reasons["bad"]
    assert "ZeroDivisionError" in caplog.text
    assert [(m.first_row, len(m.scores.rate_nats)) for m in first if m.model == "fine"] == [(0, 2), (2, 1)]
    stuck.set()
    rest = [message async for message in stream]
    assert [(m.model, m.first_row) for m in rest] == [("slow", 0), ("slow", 2)]


async def test_leaving_drops_what_was_not_sent(comparing: Compare, calls: Calls) -> None:
    stream = comparing(request("slow", "fine", n=40))
    assert (await anext(stream)).model == "fine"
    await stream.aclose()  # type: ignore[attr-defined]
    sent = [model for model, _ in calls].count("slow")
    assert sent <= 2
    assert len(asyncio.all_tasks()) == 1 + sent  # this one, and calls that a worker has


async def test_rows_travel_alone(comparing: Compare, calls: Calls, stuck: asyncio.Event) -> None:
    async def drain() -> None:
        async for _ in comparing(request("slow", n=1)):
            pass

    tasks = [asyncio.create_task(drain()) for _ in range(4)]
    while len(calls) < 2:
        await asyncio.sleep(0)
    stuck.set()
    await asyncio.gather(*tasks)
    assert calls == [("slow", 1)] * 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(), "1 to 1024 models, got 0"),
        (request(*map(str, range(1025))), "1 to 1024 models, got 1025"),
        (request("fine", "a", "a"), "each model once, got 'a' twice"),
        (request(*map(str, range(1024)), n=300), "1024 models times .* at most 67108864"),
    ],
)
async def test_what_is_wrong_for_all_is_refused(
    comparing: Compare, asked: CompareRequest, message: str
) -> None:
    if len(asked.models) == 1024:
        asked.images.data = bytes(2**16)
    with pytest.raises(InvalidRequest, match=message):
        await anext(comparing(asked))


def joined(parts: CompareStream) -> tuple[dict[str, Score], dict[str, errors.ServiceError]]:
    scores: dict[str, list[Score]] = {}
    failed: dict[str, errors.ServiceError] = {}
    for part in parts:
        if isinstance(part, ModelFailure):
            failed[part.model] = part.error
        else:
            assert isinstance(part, ModelRows)
            assert part.first == sum(len(score.rate_nats) for score in scores.get(part.model, []))
            scores.setdefault(part.model, []).append(part.score)
    return {model: concatenate(parts) for model, parts in scores.items()}, failed


@pytest.mark.parametrize("n_samples", [1, 3])
def test_the_numbers_are_those_of_score(service: str, n_samples: int) -> None:
    images = IMAGES[:256]
    options: dict[str, Any] = {"n_samples": n_samples, "seed": 5, "example_ids": np.arange(7, 263)}
    with Client(service) as client:
        scores, failed = joined(client.score_models([*MODELS, "nope"], images, **options))
        assert list(failed) == ["nope"]
        assert isinstance(failed["nope"], errors.NotFound)
        assert failed["nope"].reason == "MODEL_NOT_FOUND"
        for model in MODELS:
            alone = client.score(model, images, **options)
            for field in ("rate_nats", "distortion_nats", "importance_bound_nats", "importance_ess"):
                np.testing.assert_array_equal(getattr(scores[model], field), getattr(alone, field))
            assert scores[model].rate_is_exact == alone.rate_is_exact


def test_each_model_says_what_does_not_fit(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        scores, failed = joined(client.score_models(MODELS[:2], np.zeros((2, 9, 9), bool)))
        assert not scores
        assert "(N, 8, 8), got (2, 9, 9)" in str(failed["tiny-mmm"])
        with pytest.raises(InputError, match="each once; got a, a"):
            client.score_models(["a", "a"], IMAGES)


def test_cancelled_from_another_thread() -> None:
    called, ended = Event(), Event()

    def hang(_: Any, context: Any) -> Any:
        context.add_callback(ended.set)
        called.set()
        ended.wait()
        yield from ()

    with scripted(Compare=hang) as address, Client(address) as client, ThreadPoolExecutor(1) as pool:
        call = client.score_models(["m"], IMAGES)
        waiting = pool.submit(list, call)
        called.wait()
        call.cancel()
        with pytest.raises(errors.Cancelled):
            waiting.result()


def test_a_reply_that_breaks_the_contract_is_refused() -> None:
    def short(_: Any, context: Any) -> Any:
        yield CompareResponse(model="m", first_row=1, scores=ScoreResponse(rate_nats=[0.0]))

    with scripted(Compare=short) as address, Client(address) as client:
        call = client.score_models(["m"], IMAGES)
        with pytest.raises(errors.ReplyError, match="1 rows from 1 on, after 0 of 300"):
            list(call)


def test_errors_cross_processes() -> None:
    error = errors.Unavailable(
        "gone", reason="STOPPING", fields={"a": "b"}, retry_after_s=1.5, request_id="3f"
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.reason, copy.fields, copy.retry_after_s) == (
        errors.Unavailable,
        "gone [request 3f]",
        "STOPPING",
        {"a": "b"},
        1.5,
    )
