"""Any interleaving of callers, ops, models, sizes, failures and cancellations, merged by the client: each
gets what it gets alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from echoing import POISON, echo, is_poisoned, turns
from grpc.aio import AioRpcError, Metadata
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdserve.client import AsyncClient, errors, lane
from rdserve.client.aio_transport import AioTransport
from rdserve.client.base_client import BaseClient
from rdserve.wire import batches

OPS = ("encode", "decode", "reconstruct", "score")


@dataclass(frozen=True)
class Asked:
    """One call: after how many turns of the loop it starts, and after how many it hangs up, if it does."""

    model: str
    op: str
    n: int
    k: int
    seed: int
    first_id: int
    starts: int
    hangs_up: int | None

    async def ask(self, client: BaseClient) -> Any:
        rng = np.random.default_rng((self.n, self.seed))
        rows = rng.standard_normal((self.n, 4)) if self.op == "decode" else rng.random((self.n, 8, 8)) < 0.5
        ids = np.uint64(self.first_id) + np.arange(self.n, dtype=np.uint64)
        call = getattr(client, self.op)
        return await call(self.model, rows, n_samples=self.k, seed=self.seed, example_ids=ids)


asked = st.builds(
    Asked,
    model=st.sampled_from(["tiny-mmm", "tiny-mpv"]),
    op=st.sampled_from(OPS),
    n=st.one_of(st.integers(1, 3), st.sampled_from([12, 40, 64, 65])),
    k=st.sampled_from([1, 1, 1, 2]),
    seed=st.one_of(st.integers(0, 3), st.just(POISON), st.just(2**64 - 1)),
    first_id=st.integers(0, 2**64 - 100),
    starts=st.integers(0, 6),
    hangs_up=st.one_of(st.none(), st.none(), st.integers(0, 20)),
)


class EchoAttempt:
    """Answered after some turns; or refused."""

    def __init__(self, request: batches.Request, delay: int, fails: bool) -> None:
        self._request, self._delay, self._fails = request, delay, fails
        self._cancelled = False

    async def reply(self) -> Any:
        await turns(self._delay)
        if self._cancelled:
            raise grpc.FutureCancelledError
        if self._fails:
            now = Metadata(("grpc-retry-pushback-ms", "0"))
            raise AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), now, "passing", "")
        if is_poisoned(self._request):
            raise AioRpcError(grpc.StatusCode.INTERNAL, Metadata(), Metadata(), "poison", "")
        return echo(self._request)

    def cancel(self) -> None:
        self._cancelled = True


class Echoing(AioTransport):
    """A transport whose server is in this loop. failing: numbers of the calls that fail in passing."""

    service = SimpleNamespace(Encode=None, Decode=None, Reconstruct=None, Score=None)

    def __init__(self, delays: Sequence[int], failing: set[int]) -> None:
        super().__init__(lambda: None, own=False)
        self._delays, self._failing = delays, failing
        self.calls = self.rows = 0

    def unary(self, method: Any, request: Any, timeout: float, metadata: Any, *, ahead: bool = False) -> Any:
        self.calls += 1
        self.rows += batches.n_rows(request)
        return EchoAttempt(request, self._delays[self.calls % len(self._delays)], self.calls in self._failing)


def client_over(transport: Echoing, *, coalesce: bool) -> BaseClient:
    return BaseClient(transport, "echo", timeout=60, in_flight=3, metadata=(), coalesce=coalesce)


async def play(callers: Sequence[Asked], client: BaseClient) -> list[Any]:
    """What each gets, when all share a client."""

    async def one(caller: Asked) -> Any:
        await turns(caller.starts)
        return await caller.ask(client)

    async def hang_up(task: asyncio.Task[Any], after: int) -> None:
        await turns(after)
        task.cancel()

    tasks = [asyncio.create_task(one(caller)) for caller in callers]
    given = zip(tasks, callers, strict=True)
    await asyncio.gather(
        *(hang_up(task, caller.hangs_up) for task, caller in given if caller.hangs_up is not None)
    )
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=60)


async def check(callers: Sequence[Asked], results: Sequence[Any], alone: BaseClient, **close: float) -> None:
    """A caller that stayed got its answer or its own error; one that hung up, that or nothing."""
    for caller, got in zip(callers, results, strict=True):
        if isinstance(got, asyncio.CancelledError):
            assert caller.hangs_up is not None
            continue
        (expected,) = await asyncio.gather(caller.ask(alone), return_exceptions=True)
        if isinstance(expected, errors.ServiceError):
            assert (type(got), str(got)) == (type(expected), str(expected))
            continue
        assert not isinstance(got, BaseException), got
        for name, value in vars(expected).items():
            np.testing.assert_allclose(getattr(got, name), value, **close)


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    callers=st.lists(asked, min_size=1, max_size=12),
    delays=st.lists(st.integers(0, 8), min_size=1, max_size=6),
    failing=st.sets(st.integers(1, 6), max_size=2),
    linger=st.sampled_from([0.0, 0.002]),
    patience=st.sampled_from([0.0, 0.001, 60.0]),
)
def test_each_caller_gets_what_it_gets_alone(
    callers: list[Asked],
    delays: list[int],
    failing: set[int],
    linger: float,
    patience: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Echoing, "linger_seconds", linger)
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", patience)

    async def example() -> None:
        client = client_over(Echoing(delays, failing), coalesce=True)
        results = await play(callers, client)
        await check(callers, results, client_over(Echoing([0], set()), coalesce=False), rtol=0)
        lanes = client._caller.coalescer._lanes.values()  # type: ignore[union-attr]
        while not all(each.idle for each in lanes):  # those that all have left
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(example(), timeout=120))


def test_calls_are_saved() -> None:
    """One goes alone; the others, at most 64 rows of them, go together."""
    callers = [Asked("tiny-mmm", "score", 4, 1, seed, 0, 0, None) for seed in range(20)]

    async def calls(coalesce: bool) -> tuple[int, int]:
        transport = Echoing([5], set())
        await play(callers, client_over(transport, coalesce=coalesce))
        return transport.calls, transport.rows

    assert asyncio.run(calls(False)) == (20, 80)
    assert asyncio.run(calls(True)) == (3, 80)


@settings(max_examples=10, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(callers=st.lists(asked.filter(lambda one: one.seed != POISON), min_size=2, max_size=8))
def test_also_over_a_real_service(in_process_service: str, checkpoints: Path, callers: list[Asked]) -> None:
    async def example() -> None:
        async with (
            AsyncClient(in_process_service, coalesce=True) as client,
            AsyncClient(in_process_service) as alone,
        ):
            await check(callers, await play(callers, client), alone, rtol=1e-4, atol=1e-4)

    asyncio.run(example())
