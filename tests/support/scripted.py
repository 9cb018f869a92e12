"""A real gRPC server whose answers a test decides, for what a healthy service never says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer, add_VaeServiceServicer_to_server

Handler = Callable[[Any, grpc.ServicerContext], Any]


@contextmanager
def scripted(**handlers: Handler) -> Iterator[str]:
    """The address of a server with these methods; the others are UNIMPLEMENTED."""
    servicer = VaeServiceServicer()
    for name, handler in handlers.items():
        setattr(servicer, name, handler)
    with ThreadPoolExecutor() as pool:
        server = grpc.server(pool)
        add_VaeServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
