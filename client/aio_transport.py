"""Over grpc.aio: whoever waits leaves the event loop to others."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn

import grpc
from rdserve.client.errors import InputError
from rdserve.client.transport import Metadata, StreamAttempt, UnaryAttempt
from rdserve.v1.vae_pb2_grpc import VaeServiceStub


class AioTransport:
    """A channel of the event loop that it is first used in. own: whether `close` closes it."""

    # Those who ask again at once have done so by the next turn of the loop.
    linger_seconds = 0.0

    def __init__(self, opened: Callable[[], grpc.aio.Channel], *, own: bool) -> None:
        self._opened, self._own = opened, own
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None
        self._changed = asyncio.Event()
        self._followers: set[asyncio.Task[None]] = set()

    @property
    def channel(self) -> grpc.aio.Channel:
        """Raises InputError in another event loop than the first."""
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._loop, self._channel = loop, self._opened()
            self._stub = VaeServiceStub(self._channel)
        if loop is not self._loop:
            raise InputError("this client belongs to the event loop in which it was first used; make another")
        return self._channel

    @property
    def service(self) -> Any:
        _ = self.channel  # opened, and of this loop
        return self._stub

    def unary(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, ahead: bool = False
    ) -> UnaryAttempt:
        return self._begin(method, request, timeout, metadata, None)

    def stream(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, wait_for_ready: bool = False
    ) -> StreamAttempt:
        return self._begin(method, request, timeout, metadata, wait_for_ready)

    def _begin(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, wait: bool | None
    ) -> "AioCall":
        try:
            return AioCall(method(request, timeout=timeout, metadata=metadata, wait_for_ready=wait))
        except grpc.aio.UsageError as error:  # a channel that was closed
            raise ValueError(str(error)) from error

    def follow(self, attempt: UnaryAttempt, then: Coroutine[Any, Any, None]) -> None:
        """In a task beside."""
        task = asyncio.get_running_loop().create_task(then)
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)

    def waker(self) -> "LoopWaker":
        return LoopWaker(asyncio.get_running_loop())

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def pause(self, seconds: float, over: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not over():
                    await self._changed.wait()
        except TimeoutError:
            return over()
        return True

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def connected(self) -> bool:
        return bool(self.channel.get_state() is grpc.ChannelConnectivity.READY)

    async def close(self) -> None:
        if self._own and self._channel is not None:
            await self._channel.close(None)


class AioCall:
    """An RPC that the event loop attends to."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def reply(self) -> Any:
        try:
            return await self._call
        except asyncio.CancelledError as error:
            _raise_cancelled(error)

    async def replies(self) -> AsyncGenerator[Any, None]:
        try:
            async for reply in self._call:
                yield reply
        except asyncio.CancelledError as error:
            _raise_cancelled(error)

    async def trailing_metadata(self) -> Metadata | None:
        found: Metadata | None = await self._call.trailing_metadata()
        return found

    def cancel(self) -> None:
        self._call.cancel()


def _raise_cancelled(error: asyncio.CancelledError) -> NoReturn:
    """A call that was cancelled, or closed with its client, is an error; a task is asyncio's matter."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise error
    raise grpc.FutureCancelledError from error


class LoopWaker:
    """A future at a time, where there is something to wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        self._woken = True
        if self._waiter is not None:
            _release(self._waiter)

    async def wait(self, seconds: float) -> None:
        if not self._woken:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(seconds, _release, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
        self._woken = False


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
