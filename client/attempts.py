"""A call is begun again where it failed in passing and nothing had come of it, within its deadline.

Not by grpc: under its own retry policy a call may never end (grpc/grpc#41036). The rules are those of that
policy: the server's `grpc-retry-pushback-ms` says when, and a negative one says never.
"""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, Generic, TypeVar

import grpc
from rdserve.client.errors import Cancelled, InputError, ServiceError
from rdserve.client.timing import note
from rdserve.client.transport import Attempt, StreamAttempt, Transport, UnaryAttempt

ATTEMPTS = 5
FIRST_SECONDS, MOST_SECONDS = 0.2, 2.0
# RESOURCE_EXHAUSTED is the server's full queue; CANCELLED, from the server, that it went away just then.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
PUSHBACK = "grpc-retry-pushback-ms"

A = TypeVar("A", bound=Attempt)


class Lifetime:
    """Of one client. Closing it wakes its calls that wait between attempts."""

    def __init__(self, address: str, transport: Transport) -> None:
        self.address = address
        self.closed = False
        self.transport = transport

    def check(self) -> None:
        """Raises InputError once the client is closed."""
        if self.closed:
            raise InputError(f"this client of {self.address} was closed; make another")

    def end(self) -> None:
        """No call begins from now on."""
        self.closed = True
        self.transport.wake()


class Retried(Generic[A]):
    """A call under way.

    begin: seconds left -> one attempt. until: the deadline, on the monotonic clock. typed: grpc's error in
    this package's terms. Only `cancel` may be called from another thread.
    """

    def __init__(
        self,
        begin: Callable[[float], A],
        until: float,
        lifetime: Lifetime,
        typed: Callable[[grpc.RpcError], ServiceError],
    ) -> None:
        self._begin, self._until, self._lifetime, self._typed = begin, until, lifetime, typed
        self._made = 1
        self._cancelled = False
        self._attempt = self._start()

    def cancel(self) -> None:
        """End the call; whoever awaits it gets Cancelled."""
        self._cancelled = True
        self._lifetime.transport.wake()
        self._attempt.cancel()

    def _start(self) -> A:
        self._lifetime.check()
        try:
            return self._begin(max(0.0, self._until - monotonic()))
        except ValueError as error:
            raise self._hung_up() from error

    def _hung_up(self) -> InputError:
        """ValueError is grpc's word for a channel that was closed, be it by its owner."""
        return InputError(f"the channel to {self._lifetime.address} was closed")

    async def _again(self, error: Exception, *, forbidden: bool = False) -> None:
        """Begin once more after a pause; or raise the error, typed."""
        if not isinstance(error, grpc.RpcError):
            raise Cancelled("the call was cancelled here") from error
        typed = self._typed(error)
        pause = None if forbidden else pause_seconds(error, self._made)
        if pause is None or monotonic() + pause >= self._until:
            raise typed from error
        if await self._lifetime.transport.pause(pause, lambda: self._cancelled or self._lifetime.closed):
            raise Cancelled("the call was cancelled here") from error
        self._made += 1
        self._attempt = self._start()
        if self._cancelled:
            self._attempt.cancel()


class RetriedCall(Retried[UnaryAttempt]):
    """Of one reply."""

    async def reply(self) -> Any:
        """The reply. Raises ServiceError."""
        while True:
            try:
                reply = await self._attempt.reply()
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                await self._again(error)
            except ValueError as error:
                raise self._hung_up() from error
            else:
                await note(self._attempt)
                return reply


class RetriedStream(Retried[StreamAttempt]):
    """Of many replies, to be iterated over once."""

    async def replies(self) -> AsyncGenerator[Any, None]:
        """The replies; the call is cancelled when the iteration ends. Raises ServiceError."""
        begun = False
        try:
            while True:
                try:
                    async with aclosing(self._attempt.replies()) as replies:
                        async for reply in replies:
                            begun = True
                            yield reply
                except (grpc.RpcError, grpc.FutureCancelledError) as error:
                    await self._again(error, forbidden=begun)
                else:
                    await note(self._attempt)
                    return
        finally:
            self._attempt.cancel()


def pause_seconds(error: Any, attempt: int) -> float | None:
    """Until the attempt after this one; None where there is none."""
    if error.code() not in PASSING or attempt >= ATTEMPTS:
        return None
    pushback = dict(error.trailing_metadata() or ()).get(PUSHBACK)
    if pushback is not None:
        return int(pushback) / 1000 if str(pushback).isdecimal() else None
    backoff: float = FIRST_SECONDS * 2 ** (attempt - 1)
    return min(MOST_SECONDS, backoff) * random.uniform(0.8, 1.2)
