"""Waiting for a service with the standard health protocol, grpc.health.v1."""

import time

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from rdserve.client.errors import DeadlineExceeded, Unavailable, from_rpc_error
from rdserve.client.unreachable import typed


def wait_until_serving(channel: grpc.Channel, service: str, *, timeout: float) -> None:
    """Return once `service` is SERVING, however often the server comes and goes meanwhile.

    Raises:
        DeadlineExceeded: it was not within `timeout` seconds.
        Unimplemented: what listens there has no health service.
    """
    stub = HealthStub(channel)
    deadline = time.monotonic() + timeout
    while True:
        left = max(0.0, deadline - time.monotonic())
        watch = stub.Watch(HealthCheckRequest(service=service), timeout=left, wait_for_ready=True)
        try:
            if any(reply.status == HealthCheckResponse.SERVING for reply in watch):
                return
        except grpc.RpcError as error:
            failure = from_rpc_error(error)
            if isinstance(failure, DeadlineExceeded):
                raise DeadlineExceeded(f"{service} did not serve within {timeout:g} s") from error
            if not isinstance(failure, Unavailable):  # that is a server that went away: watch the next one
                raise failure from error
        finally:
            watch.cancel()


def state(channel: grpc.Channel, service: str, *, address: str, timeout: float) -> str:
    """What the server says of `service` now: SERVING, NOT_SERVING or UNKNOWN; "" asks whether it lives.

    Raises:
        NotFound: the server knows no such service.
        ServiceError: it did not answer; why, in words, where nothing at the address could.
    """
    try:
        reply = HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=timeout)
    except grpc.RpcError as error:
        raise typed(error, address, channel, timeout) from error
    name: str = HealthCheckResponse.ServingStatus.Name(reply.status)
    return name
