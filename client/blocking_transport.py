"""Over grpc: every step blocks its thread until it is done."""

import queue
from collections.abc import AsyncGenerator, Callable, Coroutine
from threading import TIMEOUT_MAX, Condition, Lock
from typing import Any

import grpc
from rdserve.client.blocking import run
from rdserve.client.transport import Metadata, StreamAttempt, UnaryAttempt
from rdserve.v1.vae_pb2_grpc import VaeServiceStub


class BlockingTransport:
    """A channel that any thread may use. own: whether `close` closes it."""

    # Threads take their turns.
    linger_seconds = 0.002

    def __init__(self, channel: grpc.Channel, *, own: bool) -> None:
        self.channel = channel
        self.service = VaeServiceStub(channel)
        self._own = own
        self._changed = Condition()

    def unary(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, ahead: bool = False
    ) -> UnaryAttempt:
        if ahead:
            return CallAhead(method.future(request, timeout=timeout, metadata=metadata))
        return CallInPlace(method, request, timeout, metadata)

    def stream(
        self, method: Any, request: Any, timeout: float, metadata: Metadata, *, wait_for_ready: bool = False
    ) -> StreamAttempt:
        return CallAhead(method(request, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready))

    def follow(self, attempt: UnaryAttempt, then: Coroutine[Any, Any, None]) -> None:
        """In the channel's own thread, once there is a reply."""
        assert isinstance(attempt, CallAhead)
        attempt.call.add_done_callback(lambda _: run(then))

    def waker(self) -> "ThreadWaker":
        return ThreadWaker()

    async def turn(self) -> None:
        pass

    async def pause(self, seconds: float, over: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(over, seconds)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def connected(self) -> bool:
        states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
        tell = states.put
        self.channel.subscribe(tell)
        try:
            return bool(states.get(timeout=1.0) is grpc.ChannelConnectivity.READY)
        except queue.Empty:
            return True
        finally:
            self.channel.unsubscribe(tell)

    async def close(self) -> None:
        if self._own:
            self.channel.close()


class CallInPlace:
    """An RPC that is made when its reply is asked for: a third of the processor time of one begun ahead goes
    to the channel's own thread, which this does without."""

    def __init__(self, method: Any, *arguments: Any) -> None:
        self._method, self._arguments = method, arguments
        self._call: Any = None

    async def reply(self) -> Any:
        request, timeout, metadata = self._arguments
        reply, self._call = self._method.with_call(request, timeout=timeout, metadata=metadata)
        return reply

    async def trailing_metadata(self) -> Metadata | None:
        found: Metadata | None = self._call.trailing_metadata()
        return found

    def cancel(self) -> None:
        """Nobody but the one who waits for it knows of it."""


class CallAhead:
    """An RPC that the channel's own thread attends to."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def reply(self) -> Any:
        return self.call.result()

    async def replies(self) -> AsyncGenerator[Any, None]:
        for reply in self.call:
            yield reply

    async def trailing_metadata(self) -> Metadata | None:
        found: Metadata | None = self.call.trailing_metadata()
        return found

    def cancel(self) -> None:
        self.call.cancel()


class ThreadWaker:
    """A lock that is held unless it was woken: an Event is two of them and a list."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def wake(self) -> None:
        if self._lock.locked():
            self._lock.release()

    async def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX))
