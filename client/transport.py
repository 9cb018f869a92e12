"""What the client's logic asks of gRPC. It is written once, as coroutines: over grpc.aio they wait in an
event loop; over grpc each step is done when it returns, so that none suspends (`rdserve.client.blocking`)."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, Protocol

Metadata = Iterable[tuple[str, str]]


class Attempt(Protocol):
    """One RPC under way.

    Its errors are grpc's: RpcError, and FutureCancelledError where it was cancelled on this side.
    """

    async def trailing_metadata(self) -> Metadata | None:
        """Of an RPC that was answered."""

    def cancel(self) -> None:
        """From whatever thread may use the client."""


class UnaryAttempt(Attempt, Protocol):
    """Of one reply."""

    async def reply(self) -> Any: ...


class StreamAttempt(Attempt, Protocol):
    """Of many replies, each of which is there once."""

    def replies(self) -> AsyncGenerator[Any, None]: ...


class Waker(Protocol):
    """For one that waits."""

    def wake(self) -> None:
        """The `wait` under way, or else the next, ends now. From one thread at a time."""

    async def wait(self, seconds: float) -> None:
        """So long at most."""


class Transport(Protocol):
    """A channel, and how one waits.

    channel: opened on first use. service: the stub of VaeService over it.
    linger_seconds: those who were answered together often ask again together, one after the other; while they
    come no further apart than this, they are waited for.
    """

    linger_seconds: float

    @property
    def channel(self) -> Any: ...

    @property
    def service(self) -> Any: ...

    def unary(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, ahead: bool = False
    ) -> UnaryAttempt:
        """An RPC of one reply. ahead: others may be begun before it is awaited. Raises as `stream`."""

    def stream(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, wait_for_ready: bool = False
    ) -> StreamAttempt:
        """An RPC of many replies, begun. Raises ValueError where the channel is closed."""

    def follow(self, attempt: UnaryAttempt, then: Coroutine[Any, Any, None]) -> None:
        """Run `then`, which awaits the attempt's reply and nothing else, in nobody's time."""

    def waker(self) -> Waker: ...

    async def turn(self) -> None:
        """Let those go on who were just woken, where that takes no time."""

    async def pause(self, seconds: float, over: Callable[[], bool]) -> bool:
        """Wait so long, or until `over` holds after a `wake`; whether it holds."""

    def wake(self) -> None:
        """Whoever pauses looks again whether it is over."""

    def connected(self) -> bool:
        """Whether there is a connection now; if that cannot be told, True."""

    async def close(self) -> None:
        """Cancel what is under way, and hang up."""
