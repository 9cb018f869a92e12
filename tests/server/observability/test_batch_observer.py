"""What happens in a lane shows: waiting, merging, sending again, leaving; and GPUs."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from queues import model_queue
from rdserve.server.errors import BackendUnavailable, NumericError
from rdserve.server.observability import call_context
from rdserve.server.observability.call_context import RpcContext
from rdserve.server.observability.collectors import GpuCollector, QueueCollector
from rdserve.server.observability.metrics import METRICS, Metrics
from rdserve.server.worker_protocol import CallMeta, Reply
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest, ScoreResponse
from rdserve.wire import batches, tensors

BAD = 666


def score(n: int, seed: int = 0) -> ScoreRequest:
    images = tensors.to_message(np.ones((n, 2, 2), bool))
    return ScoreRequest(model="m", images=images, noise=NoiseKeys(seed=seed))


class Model:
    """Holds calls until released; fails those with a row of seed BAD, loses the first `lost`."""

    def __init__(self, lost: int = 0) -> None:
        self.gate = asyncio.Event()
        self.under_way = asyncio.Event()
        self._lost = lost

    async def __call__(self, request: batches.Request, meta: CallMeta) -> Reply:
        self.under_way.set()
        await self.gate.wait()
        seeds, _ = batches.row_keys(request.noise, batches.n_rows(request))
        if self._lost:
            self._lost -= 1
            raise BackendUnavailable("gone", worker_ended=True)
        if BAD in seeds:
            raise NumericError("bad")
        scores = ScoreResponse(rate_nats=seeds.astype(float), distortion_nats=seeds.astype(float))
        return Reply(scores, compute_seconds=0.25)


class Watched:
    """A lane of one slot, and its metrics."""

    def __init__(self, model: Model) -> None:
        self.metrics = Metrics()
        self.lane = model_queue(model, metrics=self.metrics)
        self.metrics.registry.register(QueueCollector(lambda: {"m": self.lane.load}, lambda: 7))

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def submit(self, n: int, seed: int = 0) -> tuple[RpcContext, "asyncio.Task[Any]"]:
        """A caller's request of n rows."""
        rpc = RpcContext.of("/method", ())

        async def call() -> Any:
            call_context.begin(rpc)
            return await self.lane.submit(score(n, seed), max_rows=100)

        return rpc, asyncio.create_task(call())


async def test_depth_size_and_times() -> None:
    model = Model()
    watched = Watched(model)
    calls = [watched.submit(n) for n in (1, 2, 3)]
    await model.under_way.wait()
    assert watched.value("rdserve_queue_depth", model="m") == 2
    assert watched.value("rdserve_calls_in_flight", model="m") == 1
    assert watched.value("rdserve_queue_bytes") == 7
    model.gate.set()
    await asyncio.gather(*(task for _, task in calls))
    assert watched.value("rdserve_queue_depth", model="m") == 0
    assert watched.value("rdserve_queue_seconds_count", model="m") == 3
    assert watched.value("rdserve_batch_rows_sum", model="m", op="score") == 6
    assert watched.value("rdserve_batch_rows_count", model="m", op="score") == 2
    assert watched.value("rdserve_compute_seconds_sum", model="m", op="score", stage="compute") == 0.5
    assert [rpc.batch_rows for rpc, _ in calls] == [1, 5, 5]
    assert [rpc.compute_seconds for rpc, _ in calls] == [0.25] * 3
    assert calls[1][0].queue_seconds > 0


async def test_neighbours_of_a_bad_row_are_sent_again() -> None:
    model = Model()
    watched = Watched(model)
    calls = [watched.submit(1, seed) for seed in (0, 1, BAD, 2)]
    await model.under_way.wait()
    model.gate.set()
    outcomes = await asyncio.gather(*(task for _, task in calls), return_exceptions=True)
    assert [isinstance(outcome, NumericError) for outcome in outcomes] == [False, False, True, False]
    assert watched.value("rdserve_retried_total", model="m", reason="batch_failed") == 3
    assert watched.value("rdserve_queue_seconds_count", model="m") == 4


async def test_what_a_worker_took_with_it_is_sent_again() -> None:
    model = Model(lost=1)
    watched = Watched(model)
    _, task = watched.submit(1)
    await model.under_way.wait()
    model.gate.set()
    while watched.value("rdserve_retried_total", model="m", reason="worker_lost") is None:
        await asyncio.sleep(0)
    watched.lane.open()
    await task
    assert watched.value("rdserve_retried_total", model="m", reason="worker_lost") == 1


async def test_who_leaves_is_known_to_wait_or_to_be_at_work() -> None:
    model = Model()
    watched = Watched(model)
    (sent, first), (waiting, second) = watched.submit(1), watched.submit(1)
    await model.under_way.wait()
    await asyncio.sleep(0)
    assert (sent.parts, sent.waiting) == (1, 0)
    assert (waiting.parts, waiting.waiting) == (1, 1)
    model.gate.set()
    await asyncio.gather(first, second)


class NVMLError(Exception):
    """As pynvml's."""


def test_gpus_in_base_units_and_without_what_a_card_does_not_tell() -> None:
    def energy(handle: int) -> int:
        if handle == 1:
            raise NVMLError("not supported")
        return 5000  # millijoules

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=3, total=8),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=50),
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    registry = CollectorRegistry()
    registry.register(GpuCollector(nvml, 2))
    assert registry.get_sample_value("rdserve_gpu_memory_used_bytes", {"gpu": "1"}) == 3
    assert registry.get_sample_value("rdserve_gpu_busy_ratio", {"gpu": "0"}) == 0.5
    assert registry.get_sample_value("rdserve_gpu_energy_joules_total", {"gpu": "0"}) == 5
    assert registry.get_sample_value("rdserve_gpu_energy_joules_total", {"gpu": "1"}) is None


def test_the_gpus_of_this_machine() -> None:
    found = GpuCollector.found()
    if not found:
        pytest.skip("no GPU here, or no nvidia-ml-py")
    read = {metric.name: metric.samples for metric in found[0].collect()}
    assert set(read) == {name for name in METRICS if name.startswith("rdserve_gpu")}
    assert read["rdserve_gpu_memory_total_bytes"][0].value > 2**30
