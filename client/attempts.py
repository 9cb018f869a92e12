"""A call is begun again where it failed in passing and nothing had come of it, within its deadline.

Not by grpc: under its own retry policy a call may never end (grpc/grpc#41036). The rules are those of that
policy: the server's `grpc-retry-pushback-ms` says when, and a negative one says never.
"""

import random
from collections.abc import Callable, Generator
from threading import Condition
from time import monotonic
from typing import Any

import grpc
from rdserve.client.errors import Cancelled, InputError, ServiceError
from rdserve.client.timing import note

ATTEMPTS = 5
FIRST_SECONDS, MOST_SECONDS = 0.2, 2.0
# RESOURCE_EXHAUSTED is the server's full queue; CANCELLED, from the server, that it went away just then.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
PUSHBACK = "grpc-retry-pushback-ms"

Begin = Callable[[float], Any]


class Lifetime:
    """Of one client. Its calls wait here between attempts, so that closing it wakes them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False
        self.changed = Condition()

    def check(self) -> None:
        """Raises InputError once the client is closed."""
        if self.closed:
            raise InputError(f"this client of {self.address} was closed; make another")

    def end(self) -> None:
        """No call begins from now on."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class Attempted:
    """A call under way, of one reply (`result`) or of many (iterate over it once).

    begin: seconds left -> grpc's call. until: the deadline, on the monotonic clock. typed: grpc's error in
    this package's terms. Only `cancel` may be called from another thread.
    """

    def __init__(
        self, begin: Begin, until: float, lifetime: Lifetime, typed: Callable[[grpc.RpcError], ServiceError]
    ) -> None:
        self._begin, self._until, self._lifetime, self._typed = begin, until, lifetime, typed
        self._attempt = 1
        self._cancelled = False
        self._call = self._start()

    def cancel(self) -> None:
        """End the call; whoever awaits it gets Cancelled."""
        with self._lifetime.changed:
            self._cancelled = True
            self._lifetime.changed.notify_all()
        self._call.cancel()

    def result(self) -> Any:
        """The reply. Raises ServiceError."""
        while True:
            try:
                reply = self._call.result()
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                self._again(error)
            else:
                note(self._call)
                return reply

    def __iter__(self) -> Generator[Any, None, None]:
        """The replies; the call is cancelled when the iteration ends. Raises ServiceError."""
        begun = False
        try:
            while True:
                try:
                    for reply in self._call:
                        begun = True
                        yield reply
                except (grpc.RpcError, grpc.FutureCancelledError) as error:
                    self._again(error, forbidden=begun)
                else:
                    note(self._call)
                    return
        finally:
            self._call.cancel()

    def _start(self) -> Any:
        self._lifetime.check()
        try:
            return self._begin(max(0.0, self._until - monotonic()))
        except ValueError as error:  # grpc's word for a channel that was closed, be it by its owner
            raise InputError(f"the channel to {self._lifetime.address} was closed") from error

    def _again(self, error: Exception, *, forbidden: bool = False) -> None:
        """Begin once more after a pause; or raise the error, typed."""
        if not isinstance(error, grpc.RpcError):
            raise Cancelled("the call was cancelled here") from error
        typed = self._typed(error)
        pause = None if forbidden else _pause_seconds(error, self._attempt)
        if pause is None or monotonic() + pause >= self._until:
            raise typed from error
        if self._interrupted(pause):
            raise Cancelled("the call was cancelled here") from error
        self._attempt += 1
        self._call = self._start()
        if self._cancelled:
            self._call.cancel()

    def _interrupted(self, pause: float) -> bool:
        """Wait so long, or until this call or the client is ended."""
        with self._lifetime.changed:
            return self._lifetime.changed.wait_for(lambda: self._cancelled or self._lifetime.closed, pause)


def _pause_seconds(error: Any, attempt: int) -> float | None:
    """Until the next attempt; None where there is none."""
    if error.code() not in PASSING or attempt >= ATTEMPTS:
        return None
    pushback = dict(error.trailing_metadata() or ()).get(PUSHBACK)
    if pushback is not None:
        return int(pushback) / 1000 if str(pushback).isdecimal() else None
    backoff: float = FIRST_SECONDS * 2 ** (attempt - 1)
    return min(MOST_SECONDS, backoff) * random.uniform(0.8, 1.2)
