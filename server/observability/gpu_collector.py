"""GPUs, where there are any: memory, energy, how busy. Needs nvidia-ml-py and a driver, else nothing."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from rdserve.server.observability.metrics import GPU_BUSY, GPU_ENERGY, GPU_TOTAL, GPU_USED, MetricSpec

log = logging.getLogger(__name__)


def gpus() -> "GpuCollector | None":
    """A collector; None without a GPU, its driver or nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return None
    return GpuCollector(pynvml, count) if count else None


class GpuCollector(Collector):
    """Each GPU of the machine, by its index. What a card does not tell is absent."""

    def __init__(self, nvml: Any, count: int) -> None:
        self._nvml = nvml
        self._handles = {str(index): nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)}

    def collect(self) -> Iterator[Metric]:
        nvml = self._nvml
        yield self._read(GPU_USED, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used)
        yield self._read(GPU_TOTAL, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total)
        yield self._read(GPU_BUSY, lambda gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
        yield self._read(GPU_ENERGY, lambda gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000)

    def _read(self, metric: MetricSpec, read: Callable[[Any], float]) -> Metric:
        values = []
        for index, handle in self._handles.items():
            try:
                values.append(((index,), float(read(handle))))
            except self._nvml.NVMLError as error:
                log.debug("GPU %s does not tell %s: %s", index, metric.name, error)
        return metric.read(values)
