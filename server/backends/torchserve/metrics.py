"""TorchServe's own metrics under clear names, in seconds, beside ours.

Kept: its counters, and how long workers took to start. Dropped: its last-value gauges (QueueTime,
WorkerThreadTime, HandlerTime, PredictionTime), which miss what happens between two looks, and its view of
the machine, which is off.
"""

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from rdserve.server.backends.torchserve.http import UnixHttpClient
from rdserve.server.observability import metrics
from rdserve.server.observability.metrics import MetricSpec

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
# What it calls a metric (the parser ends every counter in _total) -> ours, and the factor to base units.
BY_MODEL = {
    "ts_inference_requests_total": (metrics.TORCHSERVE_CALLS, 1.0),
    "ts_inference_latency_microseconds_total": (metrics.TORCHSERVE_INFERENCE, 1e-6),
    "ts_queue_latency_microseconds_total": (metrics.TORCHSERVE_QUEUE, 1e-6),
}
RESPONSES = {"Requests2XX_total": "2xx", "Requests4XX_total": "4xx", "Requests5XX_total": "5xx"}
# WorkerName is "W-9000-NAME_VERSION", the number another one for each worker ever started.
_WORKER = re.compile(r"W-\d+-(.+)_[^_]*")

Values = dict[MetricSpec, dict[tuple[str, ...], float]]


class TorchServeMetrics(Collector):
    """Read from the frontend's Unix socket when someone looks, in whose thread there is no loop."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def collect(self) -> Iterator[Metric]:
        try:
            values = translate(_samples(asyncio.run(_scrape(self._socket))))
        except (OSError, ValueError) as error:
            log.warning("TorchServe's metrics cannot be read: %s", error)
            yield metrics.TORCHSERVE_UP.read([((), 0.0)])
            return
        yield metrics.TORCHSERVE_UP.read([((), 1.0)])
        for metric, series in values.items():
            yield metric.read(sorted(series.items()))


def translate(samples: Iterable[Sample]) -> Values:
    """What is kept, by our metric and its labels."""
    zero: dict[tuple[str, ...], float] = dict.fromkeys(((name,) for name in RESPONSES.values()), 0.0)
    values: Values = {metric: defaultdict(float) for metric, _ in BY_MODEL.values()}
    values |= {metrics.TORCHSERVE_RESPONSES: zero, metrics.TORCHSERVE_LOAD: {}}
    for sample in samples:
        if sample.name in BY_MODEL:
            metric, factor = BY_MODEL[sample.name]
            values[metric][sample.labels["model_name"],] += factor * sample.value
        elif sample.name in RESPONSES:
            values[metrics.TORCHSERVE_RESPONSES][RESPONSES[sample.name],] = sample.value
        elif sample.name == "WorkerLoadTime" and (found := _WORKER.fullmatch(sample.labels["WorkerName"])):
            loads, model = values[metrics.TORCHSERVE_LOAD], (found[1],)
            loads[model] = max(loads.get(model, 0.0), 1e-3 * sample.value)
    return values


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


async def _scrape(socket: Path) -> str:
    client = UnixHttpClient(socket)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            status, body = await client.ask("GET", "/metrics")
    finally:
        client.close()
    if status != HTTPStatus.OK:
        raise ValueError(f"status {status}")
    return body.decode()
