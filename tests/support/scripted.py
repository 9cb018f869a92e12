"""A real gRPC server whose answers a test decides, for what a healthy service never says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, add_VaeServiceServicer_to_server
from rdserve.wire.service import SERVICE

Handler = Callable[[Any, grpc.ServicerContext], Any]


@contextmanager
def scripted(*, health: int | None = None, **handlers: Handler) -> Iterator[str]:
    """The address of a server with these methods; the others are UNIMPLEMENTED.

    health: what its health service says of VaeService; None gives it no health service.
    """
    servicer = VaeServiceServicer()
    for name, handler in handlers.items():
        setattr(servicer, name, handler)
    with ThreadPoolExecutor() as pool:
        server = grpc.server(pool)
        add_VaeServiceServicer_to_server(servicer, server)
        if health is not None:
            checks = HealthServicer()
            checks.set(SERVICE, health)
            add_HealthServicer_to_server(checks, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
