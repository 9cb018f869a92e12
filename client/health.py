"""Waiting for a service with the standard health protocol, grpc.health.v1."""

import time
from contextlib import aclosing

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from rdserve.client.blocking_transport import BlockingTransport
from rdserve.client.errors import DeadlineExceeded, Unavailable, from_rpc_error
from rdserve.client.transport import Transport
from rdserve.client.unreachable import typed


async def wait_until_serving(transport: Transport, service: str, *, timeout: float) -> None:
    """Return once `service` is SERVING, however often the server comes and goes meanwhile.

    Raises:
        DeadlineExceeded: it was not within `timeout` seconds.
        Unimplemented: what listens there has no health service.
    """
    watch = HealthStub(transport.channel).Watch
    request = HealthCheckRequest(service=service)
    deadline = time.monotonic() + timeout
    while True:
        left = max(0.0, deadline - time.monotonic())
        attempt = transport.stream(watch, request, left, (), wait_for_ready=True)
        try:
            async with aclosing(attempt.replies()) as replies:
                async for reply in replies:
                    if reply.status == HealthCheckResponse.SERVING:
                        return
        except grpc.RpcError as error:
            failure = from_rpc_error(error)
            if isinstance(failure, DeadlineExceeded):
                raise DeadlineExceeded(f"{service} did not serve within {timeout:g} s") from error
            if not isinstance(failure, Unavailable):  # that is a server that went away: watch the next one
                raise failure from error
        finally:
            attempt.cancel()


def state(channel: grpc.Channel, service: str, *, address: str, timeout: float) -> str:
    """What the server says of `service` now: SERVING, NOT_SERVING or UNKNOWN; "" asks whether it lives.

    Raises:
        NotFound: the server knows no such service.
        ServiceError: it did not answer; why, in words, where nothing at the address could.
    """
    try:
        reply = HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=timeout)
    except grpc.RpcError as error:
        connected = BlockingTransport(channel, own=False).connected
        raise typed(error, address, connected, timeout) from error
    name: str = HealthCheckResponse.ServingStatus.Name(reply.status)
    return name
