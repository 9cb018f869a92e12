"""The service as coroutines: numpy in, small dataclasses out."""

from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from rdserve.client.aio_transport import AioTransport
from rdserve.client.base_client import TIMEOUT_SECONDS, BaseClient
from rdserve.client.channel import Security, channel_opener


class AsyncClient(BaseClient):
    """`Client` for asyncio: the same methods, arguments and errors, to be awaited; iterate with `async for`.

    channel: of grpc.aio. coalesce: what tasks of its event loop ask for at the same time goes as one.

    It may be made anywhere, and belongs to the event loop in which it is first used. A task that is cancelled
    cancels its call. Who leaves an `async for` early should close it, so that the rest is cancelled at once:
    `async with contextlib.aclosing(client.stream_samples(...)) as parts`.
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        timeout: float = TIMEOUT_SECONDS,
        in_flight: int = 3,
        token: str | None = None,
        tls: bool | Path | str = False,
        cert: Path | str | None = None,
        key: Path | str | None = None,
        channel: grpc.aio.Channel | None = None,
        coalesce: bool = False,
    ) -> None:
        self.address, self.timeout = address, timeout
        security = Security(tls, cert, key, token)
        opened = channel_opener(address, security, grpc.aio) if channel is None else security.given(channel)
        super().__init__(
            AioTransport(opened, own=channel is None),
            address if channel is None else "a given channel",
            timeout=timeout,
            in_flight=in_flight,
            metadata=security.metadata,
            coalesce=coalesce,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
