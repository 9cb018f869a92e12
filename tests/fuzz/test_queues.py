"""Any interleaving of callers, models, ops, sizes, seeds and cancellations: each gets what it gets alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echoing import POISON, echo, is_poisoned, turns
from hypothesis import given, settings
from hypothesis import strategies as st
from queues import scheduler
from rdserve.models.card_parts import Architecture
from rdserve.models.worker.worker import Worker
from rdserve.server.errors import NumericError
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import decode_reply, encode_request
from rdserve.v1 import vae_pb2
from rdserve.v1.worker_pb2 import WORK_ERROR_REASON_NUMERIC_FAILURE, WorkError, WorkReply, WorkRequest
from rdserve.wire import batches, tensors
from tiny import tiny_card

OPS: dict[str, type[batches.Request]] = {
    "encode": vae_pb2.EncodeRequest,
    "decode": vae_pb2.DecodeRequest,
    "reconstruct": vae_pb2.ReconstructRequest,
    "score": vae_pb2.ScoreRequest,
    "sample": vae_pb2.SampleRequest,
}
CARD = tiny_card("tiny-mmm", Architecture(family="---", image_size=8, latent_dim=4))


@dataclass(frozen=True)
class Caller:
    """One call: after how many turns of the loop it starts, and after how many it hangs up, if it does."""

    model: str
    op: str
    n: int
    k: int
    seed: int
    first_id: int | None
    packed: bool
    starts: int
    hangs_up: int | None

    def request(self) -> batches.Request:
        """Rows that differ between callers, as bits or as bytes."""
        ids = [] if self.first_id is None else range(self.first_id, self.first_id + self.n)
        noise = vae_pb2.NoiseKeys(seed=self.seed, example_ids=ids)
        rng = np.random.default_rng((self.n, self.seed))
        given: dict[str, Any] = {"images": tensors.to_message(self._images(rng))}
        if self.op == "decode":
            given = {"latents": tensors.to_message(rng.standard_normal((self.n, 4)))}
        if self.op == "sample":
            given = {"n_latents": self.n}
        return OPS[self.op](model=self.model, n_samples=self.k, noise=noise, **given)

    def _images(self, rng: np.random.Generator) -> tensors.Array:
        images = rng.random((self.n, 8, 8)) < 0.5
        return images if self.packed else images.astype(np.uint8)


callers = st.builds(
    Caller,
    model=st.sampled_from(["a", "b"]),
    op=st.sampled_from(list(OPS)),
    n=st.integers(1, 12),
    k=st.sampled_from([1, 1, 2]),
    seed=st.one_of(st.integers(0, 3), st.just(POISON), st.just(2**64 - 1)),
    first_id=st.one_of(st.none(), st.integers(0, 2**64 - 20)),
    packed=st.booleans(),
    starts=st.integers(0, 4),
    hangs_up=st.one_of(st.none(), st.none(), st.integers(0, 12)),
)


def echo_work(work: bytes) -> bytes:
    """What an echoing worker makes of an envelope; one poisoned row fails all of it."""
    envelope = WorkRequest.FromString(work)
    op = envelope.WhichOneof("op") or ""
    request: batches.Request = getattr(envelope, op)
    if is_poisoned(request):
        error = WorkError(reason=WORK_ERROR_REASON_NUMERIC_FAILURE, message="poison")
        return WorkReply(error=error).SerializeToString()
    return WorkReply(**{op: echo(request)}).SerializeToString()  # type: ignore[arg-type]


async def play(
    callers: Sequence[Caller], call: Callable[[str, bytes], Awaitable[bytes]], *, max_batch_rows: int
) -> list[batches.Response | BaseException]:
    """What each caller gets, when all share one batcher."""
    batcher = scheduler(call, Settings(models=Path(), max_batch_rows=max_batch_rows))

    async def one(caller: Caller) -> batches.Response:
        await turns(caller.starts)
        return await batcher.run(caller.request(), CARD)

    async def hang_up(task: asyncio.Task[batches.Response], after: int) -> None:
        await turns(after)
        task.cancel()

    tasks = [asyncio.create_task(one(caller)) for caller in callers]
    given = zip(tasks, callers, strict=True)
    quitters = [hang_up(task, caller.hangs_up) for task, caller in given if caller.hangs_up is not None]
    await asyncio.gather(*quitters)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=60)
    await asyncio.wait_for(batcher.drain(), timeout=60)
    return results


def check(caller: Caller, got: batches.Response | BaseException, same: Callable[[Any, Any], None]) -> None:
    """A caller that stayed got its answer or its own error; one that hung up, that or nothing."""
    if isinstance(got, asyncio.CancelledError):
        assert caller.hangs_up is not None
    elif caller.seed == POISON:
        assert isinstance(got, NumericError)
    else:
        assert not isinstance(got, BaseException), got
        same(got, caller)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    callers=st.lists(callers, min_size=1, max_size=12),
    delays=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    max_batch_rows=st.sampled_from([1, 5, 16, 256]),
)
def test_each_caller_gets_what_it_gets_alone(
    callers: list[Caller], delays: list[int], max_batch_rows: int
) -> None:
    calls = 0

    async def call(model: str, work: bytes) -> bytes:
        nonlocal calls
        calls += 1
        await turns(delays[calls % len(delays)])
        return echo_work(work)

    def same(got: batches.Response, caller: Caller) -> None:
        assert got == echo(caller.request())

    for caller, got in zip(
        callers, asyncio.run(play(callers, call, max_batch_rows=max_batch_rows)), strict=True
    ):
        check(caller, got, same)


@pytest.fixture(scope="module")
def worker(checkpoints: Path) -> Worker:
    return Worker.load(checkpoints / "tiny-mpv")


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    callers=st.lists(callers.filter(lambda caller: caller.seed != POISON), min_size=2, max_size=6),
    max_batch_rows=st.sampled_from([5, 256]),
)
def test_also_on_a_real_model(worker: Worker, callers: list[Caller], max_batch_rows: int) -> None:
    async def call(model: str, work: bytes) -> bytes:
        await turns(3)
        return worker.work([work])[0]

    def same(got: batches.Response, caller: Caller) -> None:
        request = caller.request()
        alone = decode_reply(request, worker.work([encode_request(request)])[0]).response
        for field, value in alone.ListFields():
            other = getattr(got, field.name)
            if isinstance(value, vae_pb2.Tensor):
                value, other = tensors.to_array(value), tensors.to_array(other)
            np.testing.assert_allclose(other, value, rtol=1e-4, atol=1e-5)

    for caller, got in zip(
        callers, asyncio.run(play(callers, call, max_batch_rows=max_batch_rows)), strict=True
    ):
        check(caller, got, same)
