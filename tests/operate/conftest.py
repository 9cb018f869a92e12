"""A service on TorchServe over one digits model, and a real Prometheus that scrapes it."""

from collections.abc import Iterator
from pathlib import Path

import prometheus
import pytest
from polling import until
from prometheus import MODEL, Prometheus
from running import Running, start_service, until_serving

ZOO = Path(__file__).parents[2] / "zoo/digits"


@pytest.fixture(scope="session")
def watched() -> Iterator[Running]:
    """The service; its first line tells where its metrics are."""
    running = until_serving(start_service(ZOO / MODEL, "--request-log-rate", "100000"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def endpoint(watched: Running) -> str:
    """The URL of the service's metrics."""
    (line,) = (line for line in watched.lines if line.startswith("metrics on "))
    return line.removeprefix("metrics on ")


@pytest.fixture(scope="session")
def scraped(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the service. Ranges in rules are 10 s, waits 0."""
    target = endpoint.removeprefix("http://").removesuffix("/metrics")
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), target, "10s") as server:
        until(server.is_ready)
        until(lambda: server.value('up{job="rdserve"}') == 1)
        yield server
