"""Every metric of the service, declared once: base units, labels from closed sets.

`METRICS` is what the endpoint shows. What is counted as it happens is a field of `Metrics`; what is read
when someone looks (the registry, the queues, TorchServe, a GPU) is filled in by collectors.
"""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric

PREFIX = "rdserve_"
RPC = ("grpc_type", "grpc_service", "grpc_method")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# For the label of what no closed set knows: a method that nobody implements, a model that is not there.
UNKNOWN = "unknown"


class MetricSpec(NamedTuple):
    """A metric. A counter's series end in _total, which `name` leaves out."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def counter(self, registry: CollectorRegistry) -> Counter:
        """One that is counted as it happens."""
        return Counter(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """One that is observed as it happens."""
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=registry)

    def summary(self, registry: CollectorRegistry) -> Summary:
        """One that is observed as it happens, of which the mean is enough: a sum and a count."""
        return Summary(self.name, self.help, self.labels, registry=registry)

    def read(self, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
        """One that is read now: a value for each tuple of its labels' values."""
        metric = Metric(self.name, self.help, self.kind)
        name = f"{self.name}_total" if self.kind == "counter" else self.name
        for values, value in samples:
            metric.add_sample(name, dict(zip(self.labels, values, strict=True)), value)
        return metric

    @property
    def series(self) -> tuple[str, ...]:
        """The names that PromQL sees."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        if self.kind == "summary":
            return (f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


STARTED = MetricSpec("grpc_server_started", "counter", "RPCs started on the server.", RPC)
HANDLED = MetricSpec(
    "grpc_server_handled", "counter", "RPCs completed, whatever their outcome.", (*RPC, "grpc_code")
)
HANDLING = MetricSpec(
    "grpc_server_handling_seconds", "histogram", "Time an RPC took on the server.", RPC, SECONDS
)
RECEIVED = MetricSpec("grpc_server_msg_received", "counter", "Messages received on the server.", RPC)
SENT = MetricSpec("grpc_server_msg_sent", "counter", "Messages sent by the server.", RPC)

QUEUE = MetricSpec(
    "rdserve_queue_seconds",
    "histogram",
    "Time that requests, or parts of large ones, waited.",
    ("model",),
    SECONDS,
)
BATCH = MetricSpec("rdserve_batch_rows", "summary", "Rows that one call to a worker held.", ("model", "op"))
COMPUTE = MetricSpec(
    "rdserve_compute_seconds",
    "summary",
    "One call to a worker by stage: merge, call (there and back), compute (of that, in the model), split.",
    ("model", "op", "stage"),
)
REFUSED = MetricSpec(
    "rdserve_rejected", "counter", "RPCs that ended in an error, by its reason.", ("model", "reason")
)
EXPIRED = MetricSpec(
    "rdserve_expired",
    "counter",
    "RPCs whose caller left or whose deadline passed: in the queue, at the worker, or before either.",
    ("model", "stage"),
)
RETRIED = MetricSpec(
    "rdserve_retried",
    "counter",
    "Requests sent to a worker again: worker_lost, or batch_failed for what rode with a bad one.",
    ("model", "reason"),
)

DEPTH = MetricSpec("rdserve_queue_depth", "gauge", "Requests, or parts of large ones, that wait.", ("model",))
IN_FLIGHT = MetricSpec("rdserve_calls_in_flight", "gauge", "Calls that workers have.", ("model",))
WAITING_BYTES = MetricSpec("rdserve_queue_bytes", "gauge", "Bytes of requests waiting or running.")
INFO = MetricSpec(
    "rdserve_model_info",
    "gauge",
    "1 for each model; its facts are labels.",
    ("model", "version", "family", "weights_sha256", "data", "code_version"),
)
STATE = MetricSpec("rdserve_model_state", "gauge", "1 for the state that a model is in.", ("model", "state"))

RATE = MetricSpec("rdserve_rate_nats", "histogram", "Rate of each scored example.", ("model",))
DISTORTION = MetricSpec(
    "rdserve_distortion_nats", "histogram", "Distortion of each scored example.", ("model",)
)
NORM = MetricSpec(
    "rdserve_latent_norm", "histogram", "Norm of each encoded example's first sample.", ("model",)
)
REFERENCE_RATE = MetricSpec(
    "rdserve_reference_rate_nats", "gauge", "Rate on the card's split.", ("model", "statistic")
)
REFERENCE_DISTORTION = MetricSpec(
    "rdserve_reference_distortion_nats", "gauge", "Distortion on the card's split.", ("model", "statistic")
)
REFERENCE_QUANTILE = MetricSpec(
    "rdserve_reference_quantile",
    "gauge",
    "Quantiles over single examples of the card's split: rate and distortion in nats, norm of the latents.",
    ("model", "quantity", "level"),
)

TORCHSERVE_UP = MetricSpec("torchserve_up", "gauge", "1 where TorchServe's own metrics could be read.")
TORCHSERVE_CALLS = MetricSpec("torchserve_calls", "counter", "Calls that TorchServe answered.", ("model",))
TORCHSERVE_INFERENCE = MetricSpec(
    "torchserve_inference_seconds", "counter", "Time in TorchServe and its workers.", ("model",)
)
TORCHSERVE_QUEUE = MetricSpec(
    "torchserve_queue_seconds", "counter", "Time in TorchServe's queue.", ("model",)
)
TORCHSERVE_RESPONSES = MetricSpec(
    "torchserve_http_responses",
    "counter",
    "TorchServe's HTTP answers, to calls, management and scrapes.",
    ("status_class",),
)
TORCHSERVE_LOAD = MetricSpec(
    "torchserve_worker_load_seconds", "gauge", "Longest start of a model's present workers.", ("model",)
)

GPU_USED = MetricSpec("rdserve_gpu_memory_used_bytes", "gauge", "Memory in use, by anyone.", ("gpu",))
GPU_TOTAL = MetricSpec("rdserve_gpu_memory_total_bytes", "gauge", "Memory of the card.", ("gpu",))
GPU_BUSY = MetricSpec("rdserve_gpu_busy_ratio", "gauge", "Share of the last moments it was busy.", ("gpu",))
GPU_ENERGY = MetricSpec("rdserve_gpu_energy_joules", "counter", "Energy since its driver loaded.", ("gpu",))

METRICS = {value.name: value for value in list(globals().values()) if isinstance(value, MetricSpec)}


class Metrics:
    """What is counted as it happens, and the registry that also holds the rest."""

    def __init__(self) -> None:
        # A series per series, to tell when it began; nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.started = STARTED.counter(self.registry)
        self.handled = HANDLED.counter(self.registry)
        self.handling = HANDLING.histogram(self.registry)
        self.received = RECEIVED.counter(self.registry)
        self.sent = SENT.counter(self.registry)
        self.queue = QUEUE.histogram(self.registry)
        self.batch = BATCH.summary(self.registry)
        self.compute = COMPUTE.summary(self.registry)
        self.rejected = REFUSED.counter(self.registry)
        self.expired = EXPIRED.counter(self.registry)
        self.retried = RETRIED.counter(self.registry)
        ProcessCollector(registry=self.registry)
