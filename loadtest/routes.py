"""A way to a model. Each takes the same serialized requests and returns bytes that nobody parses, so what
differs between two is the way itself."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import grpc
from grpc import aio
from rdserve.client import AsyncClient
from rdserve.loadtest.load import Send
from rdserve.loadtest.requests import Bodies, parsed
from rdserve.wire.limits import MAX_MESSAGE_BYTES
from rdserve.wire.service import SERVICE

T = TypeVar("T")
Metadata = Sequence[tuple[str, str]]

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
]


class Route(Protocol):
    """A way to models."""

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        """What makes one request of these at a time."""


class Front:
    """rdserve's gRPC service. credentials: those of TLS; metadata: sent with every call, such as a token."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
    ) -> None:
        self._metadata = tuple(metadata)
        self._channel = (
            aio.secure_channel(address, credentials, options=OPTIONS)
            if credentials
            else aio.insecure_channel(address, options=OPTIONS)
        )

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        return over(self._channel, f"/{SERVICE}/{op.capitalize()}", bodies.public, self._metadata)


class ThroughClient:
    """The service through a client: arrays in, arrays out, so that unlike other ways it pays for both."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def sender(self, model: str, op: str, bodies: Bodies) -> Send:
        call: Any = getattr(self._client, op)
        each = in_turn([parsed(op, body) for body in bodies.public])

        async def send(number: int) -> None:
            await call(model, **each(number))

        return send


def over(channel: aio.Channel, method: str, requests: tuple[bytes, ...], metadata: Metadata = ()) -> Send:
    """Calls of one gRPC method with these requests in turn."""
    call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
    each = in_turn(requests)

    async def send(number: int) -> None:
        await call(each(number), timeout=300, metadata=metadata)

    return send


def in_turn(requests: Sequence[T]) -> Callable[[int], T]:
    """The request of a number, over and over."""
    return lambda number: requests[number % len(requests)]
