"""Everything that watches the service, put together."""

from pathlib import Path

from grpc_health.v1 import health_pb2
from rdserve.server.backends.base import Backend
from rdserve.server.backends.torchserve.metrics import TorchServeMetrics
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.grpc_api import reflection
from rdserve.server.grpc_api.interceptors.telemetry import TelemetryInterceptor
from rdserve.server.observability.batch_observer import MetricsBatchObserver
from rdserve.server.observability.call_context import BatchObserver
from rdserve.server.observability.collectors import ModelCollector, QueueCollector
from rdserve.server.observability.endpoint import MetricsEndpoint
from rdserve.server.observability.gpu_collector import gpus
from rdserve.server.observability.metrics import Metrics
from rdserve.server.observability.quality import QualityCollector
from rdserve.server.registry import ModelRegistry
from rdserve.v1 import vae_pb2

SERVICES = (
    vae_pb2.DESCRIPTOR.services_by_name["VaeService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    *reflection.SERVICES,
)


class Observability:
    """The interceptor that sees RPCs, the watch that sees lanes, and the endpoint that shows both."""

    def __init__(self, catalogue: ModelRegistry) -> None:
        self._metrics = Metrics()
        self._endpoint: MetricsEndpoint | None = None
        quality = QualityCollector(catalogue)
        self._metrics.registry.register(quality)
        self._metrics.registry.register(ModelCollector(catalogue))
        self.interceptor = TelemetryInterceptor(self._metrics, SERVICES)
        self.watch: BatchObserver = MetricsBatchObserver(self._metrics, quality)

    def attach(self, batcher: Scheduler, backend: Backend) -> None:
        """More to read when someone looks."""
        registry = self._metrics.registry
        registry.register(QueueCollector(batcher.loads, batcher.held_bytes))
        if cards := gpus():
            registry.register(cards)
        if isinstance(found := getattr(backend, "metrics_socket", None), Path):
            registry.register(TorchServeMetrics(lambda: found))

    def listen(self, host: str, port: int) -> str:
        """Open the endpoint; its address. Raises OSError where it cannot listen there."""
        self._endpoint = MetricsEndpoint.open(self._metrics.registry, host, port)
        return self._endpoint.address

    def close(self) -> None:
        """Nobody can look any more."""
        if self._endpoint is not None:
            self._endpoint.close()
