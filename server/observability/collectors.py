"""Models, queues and GPUs, read when someone looks."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from rdserve.models.card import Card
from rdserve.server.observability import metrics
from rdserve.server.observability.metrics import MetricSpec
from rdserve.server.registry import ModelRecord
from rdserve.v1.vae_pb2 import ModelState

log = logging.getLogger(__name__)

STATES = {number: name.removeprefix("MODEL_STATE_").lower() for name, number in ModelState.items() if number}


class ModelCollector(Collector):
    """What models there are, and how each of them is."""

    def __init__(self, models: Iterable[ModelRecord]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        models = list(self._models)
        yield metrics.INFO.read((_facts(model.card), 1.0) for model in models if model.card)
        yield metrics.STATE.read(
            ((model.name, name), float(model.state == number))
            for model in models
            for number, name in STATES.items()
        )


def _facts(card: Card) -> tuple[str, ...]:
    return (
        card.name,
        card.version,
        card.family,
        card.weights_sha256,
        card.data.name,
        card.code_version,
    )


class QueueCollector(Collector):
    """What waits. loads(): by model, requests that wait and calls under way; held_bytes(): of all."""

    def __init__(
        self, loads: Callable[[], dict[str, tuple[int, int]]], held_bytes: Callable[[], int]
    ) -> None:
        self._loads = loads
        self._held_bytes = held_bytes

    def collect(self) -> Iterator[Metric]:
        loads = sorted(self._loads().items())
        yield metrics.DEPTH.read(((model,), float(waiting)) for model, (waiting, _) in loads)
        yield metrics.IN_FLIGHT.read(((model,), float(calls)) for model, (_, calls) in loads)
        yield metrics.WAITING_BYTES.read([((), float(self._held_bytes()))])


class GpuCollector(Collector):
    """Each GPU of the machine, by its index. What a card does not tell is absent."""

    def __init__(self, nvml: Any, count: int) -> None:
        self._nvml = nvml
        self._handles = {str(index): nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)}

    def collect(self) -> Iterator[Metric]:
        nvml = self._nvml
        yield self._read(metrics.GPU_USED, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used)
        yield self._read(metrics.GPU_TOTAL, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total)
        yield self._read(metrics.GPU_BUSY, lambda gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
        yield self._read(metrics.GPU_ENERGY, lambda gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000)

    def _read(self, metric: MetricSpec, read: Callable[[Any], float]) -> Metric:
        values = []
        for index, handle in self._handles.items():
            try:
                values.append(((index,), float(read(handle))))
            except self._nvml.NVMLError as error:
                log.debug("GPU %s does not tell %s: %s", index, metric.name, error)
        return metric.read(values)

    @classmethod
    def found(cls) -> "list[GpuCollector]":
        """One for this machine; none without a GPU, its driver or nvidia-ml-py."""
        try:
            import pynvml
        except ImportError:
            return []
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError:
            return []
        return [cls(pynvml, count)] if count else []
