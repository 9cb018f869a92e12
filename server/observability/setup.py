"""Everything that watches the service, put together."""

from collections.abc import Iterable
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server
from prometheus_client.registry import Collector
from rdserve.server.observability.batch_observer import BatchObserver
from rdserve.server.observability.collectors import ModelCollector
from rdserve.server.observability.metrics import Metrics
from rdserve.server.observability.quality import QualityCollector
from rdserve.server.registry import ModelRecord


class Observability:
    """The metrics, the observer of the models' queues, and the endpoint that Prometheus scrapes."""

    def __init__(self, models: Iterable[ModelRecord]) -> None:
        self.metrics = Metrics()
        self._listening: tuple[WSGIServer, Thread] | None = None
        quality = QualityCollector(models)
        self.batches = BatchObserver(self.metrics, quality)
        self.register(quality, ModelCollector(models))

    def register(self, *collectors: Collector) -> None:
        """More to read when someone looks."""
        for collector in collectors:
            self.metrics.registry.register(collector)

    def listen(self, host: str, port: int) -> str:
        """Open the endpoint, in threads of its own; its address. Raises OSError where it cannot listen there.

        prometheus-client's own server: it answers OpenMetrics, with exemplars, to those who ask for it.
        """
        self._listening = server, _ = start_http_server(port, host, self.metrics.registry)
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{server.server_port}/metrics"

    def close(self) -> None:
        """Return when nobody can look any more."""
        if self._listening is not None:
            server, thread = self._listening
            server.shutdown()
            server.server_close()
            thread.join()
