"""Waiting, against the health service that grpc ships."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from rdserve.client import Client, errors
from rdserve.wire.service import SERVICE
from scripted import scripted


class Watched(health.HealthServicer):  # type: ignore[misc]
    """Tells when somebody watches."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Event()

    def Watch(self, request: Any, context: Any, *rest: Any) -> Any:
        self.watched.set()
        return super().Watch(request, context, *rest)


@pytest.fixture
def servicer() -> Watched:
    return Watched()


@pytest.fixture
def address(servicer: Watched) -> Iterator[str]:
    with ThreadPoolExecutor() as pool:
        server = grpc.server(pool)
        add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_ready_means_the_models_answer(servicer: Watched, address: str) -> None:
    servicer.set("", HealthCheckResponse.SERVING)
    servicer.set(SERVICE, HealthCheckResponse.NOT_SERVING)
    with Client(address) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_for_ready, 60)
        servicer.watched.wait()
        assert not waiting.done()
        servicer.set(SERVICE, HealthCheckResponse.SERVING)
        assert waiting.result() is None


def test_a_service_that_only_loads_is_waited_for_so_long(servicer: Watched, address: str) -> None:
    servicer.set(SERVICE, HealthCheckResponse.NOT_SERVING)
    with Client(address) as client, pytest.raises(errors.DeadlineExceeded, match=r"within 0\.2 s"):
        client.wait_for_ready(timeout=0.2)


def test_a_server_without_health_is_told_at_once() -> None:
    with scripted() as address, Client(address) as client, pytest.raises(errors.Unimplemented):
        client.wait_for_ready()
