"""Everything that watches the service, put together."""

from collections.abc import Iterable

from prometheus_client.registry import Collector
from rdserve.server.observability.batch_observer import MetricsBatchObserver
from rdserve.server.observability.collectors import ModelCollector
from rdserve.server.observability.endpoint import MetricsEndpoint
from rdserve.server.observability.metrics import Metrics
from rdserve.server.observability.quality import QualityCollector
from rdserve.server.registry import ModelRecord


class Observability:
    """The metrics, the observer of the models' queues, and the endpoint that shows what they know."""

    def __init__(self, models: Iterable[ModelRecord]) -> None:
        self.metrics = Metrics()
        self._endpoint: MetricsEndpoint | None = None
        quality = QualityCollector(models)
        self.batches = MetricsBatchObserver(self.metrics, quality)
        self.register(quality, ModelCollector(models))

    def register(self, *collectors: Collector) -> None:
        """More to read when someone looks."""
        for collector in collectors:
            self.metrics.registry.register(collector)

    def listen(self, host: str, port: int) -> str:
        """Open the endpoint; its address. Raises OSError where it cannot listen there."""
        self._endpoint = MetricsEndpoint.open(self.metrics.registry, host, port)
        return self._endpoint.address

    def close(self) -> None:
        """Nobody can look any more."""
        if self._endpoint is not None:
            self._endpoint.close()
