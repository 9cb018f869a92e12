"""TorchServe's own metrics under clear names, in seconds, beside ours.

Kept: its counters, and how long workers took to start. Dropped: its last-value gauges (QueueTime,
WorkerThreadTime, HandlerTime, PredictionTime), which miss what happens between two looks, and its view of
the machine, which is off.
"""

import http.client
import logging
import re
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from rdserve.server.observability.metrics import (
    TORCHSERVE_CALLS,
    TORCHSERVE_INFERENCE,
    TORCHSERVE_LOAD,
    TORCHSERVE_QUEUE,
    TORCHSERVE_RESPONSES,
    TORCHSERVE_UP,
    MetricSpec,
)

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
# What it calls a metric (the parser ends every counter in _total) -> ours, and the factor to base units.
BY_MODEL = {
    "ts_inference_requests_total": (TORCHSERVE_CALLS, 1.0),
    "ts_inference_latency_microseconds_total": (TORCHSERVE_INFERENCE, 1e-6),
    "ts_queue_latency_microseconds_total": (TORCHSERVE_QUEUE, 1e-6),
}
RESPONSES = {"Requests2XX_total": "2xx", "Requests4XX_total": "4xx", "Requests5XX_total": "5xx"}
# WorkerName is "W-9000-NAME_VERSION", the number another one for each worker ever started.
_WORKER = re.compile(r"W-\d+-(.+)_[^_]*")

Values = dict[MetricSpec, dict[tuple[str, ...], float]]


class TorchServeMetrics(Collector):
    """Read from the frontend's Unix socket when someone looks."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def collect(self) -> Iterator[Metric]:
        try:
            values = translate(_samples(_scrape(self._socket)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("TorchServe's metrics cannot be read: %s", error)
            yield TORCHSERVE_UP.read([((), 0.0)])
            return
        yield TORCHSERVE_UP.read([((), 1.0)])
        for metric, series in values.items():
            yield metric.read(sorted(series.items()))


def translate(samples: Iterable[Sample]) -> Values:
    """What is kept, by our metric and its labels."""
    zero: dict[tuple[str, ...], float] = dict.fromkeys(((name,) for name in RESPONSES.values()), 0.0)
    values: Values = {metric: defaultdict(float) for metric, _ in BY_MODEL.values()}
    values |= {TORCHSERVE_RESPONSES: zero, TORCHSERVE_LOAD: {}}
    for sample in samples:
        if sample.name in BY_MODEL:
            metric, factor = BY_MODEL[sample.name]
            values[metric][sample.labels["model_name"],] += factor * sample.value
        elif sample.name in RESPONSES:
            values[TORCHSERVE_RESPONSES][RESPONSES[sample.name],] = sample.value
        elif sample.name == "WorkerLoadTime" and (found := _WORKER.fullmatch(sample.labels["WorkerName"])):
            loads, model = values[TORCHSERVE_LOAD], (found[1],)
            loads[model] = max(loads.get(model, 0.0), 1e-3 * sample.value)
    return values


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def _scrape(path: Path) -> str:
    connection = http.client.HTTPConnection("torchserve")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(TIMEOUT_SECONDS)
        connection.sock.connect(str(path))
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(f"status {answer.status}")
    return body.decode()
