"""The endpoint that Prometheus scrapes: /metrics over HTTP, in threads of its own.

prometheus-client's own server: it answers OpenMetrics, with exemplars, to those who ask for it.
"""

from threading import Thread
from typing import Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server


class MetricsEndpoint:
    """Listens from its making until `close`. address: "http://host:port/metrics"."""

    def __init__(self, server: WSGIServer, thread: Thread, host: str) -> None:
        self._server = server
        self._thread = thread
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{server.server_port}/metrics"

    @classmethod
    def open(cls, registry: CollectorRegistry, host: str, port: int) -> Self:
        """Port 0 takes a free one. Raises OSError where it cannot listen there."""
        server, thread = start_http_server(port, host, registry)
        return cls(server, thread, host)

    def close(self) -> None:
        """Return when nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
