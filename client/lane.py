"""Calls of one kind: which are under way, who waits, and when those who wait go together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from time import monotonic
from typing import Any

import grpc
from rdserve.client import results
from rdserve.client.rows import T
from rdserve.client.transport import Metadata, Transport, UnaryAttempt, Waker
from rdserve.wire.batches import Request, merge, n_rows

# Nobody waits longer behind calls under way: beside so slow a one, what a request costs is little.
PATIENCE_SECONDS = 0.05


@dataclass(eq=False)
class Waiting:
    """A caller that waits for company, then for the answer. until: its deadline, on the monotonic clock.

    went: with which request, once it has gone. One of part and error is there once it is settled.
    """

    request: Request
    until: float
    waker: Waker
    came: float = field(default_factory=monotonic)
    rows: int = field(init=False)
    went: "MergedRequest | None" = None
    part: Any = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.rows = n_rows(self.request)

    @property
    def settled(self) -> bool:
        """Whether there is an answer or an error."""
        return self.part is not None or self.error is not None


@dataclass(eq=False)
class MergedRequest:
    """Callers that went together. present: those who have not left. call: None until it is begun."""

    callers: Sequence[Waiting]
    present: set[Waiting]
    call: UnaryAttempt | None = None

    def settle(self, kind: type[T], reply: Any) -> None:
        """Each caller's part. Raises ReplyError where the reply does not hold all their rows."""
        sizes = [caller.rows for caller in self.callers]
        whole = results.from_reply(kind, reply, sum(sizes))
        for caller, part in zip(self.callers, results.split(whole, sizes), strict=True):
            caller.part = part

    def fail(self, error: BaseException) -> None:
        """The same error for each."""
        for caller in self.callers:
            caller.error = error


class Lane:
    """Of one method, whose results are of a kind, and one layout of rows, `most` of them in a request.

    For any thread.
    """

    def __init__(
        self, transport: Transport, metadata: Metadata, method: Any, kind: type[Any], most: int
    ) -> None:
        self._transport, self._metadata = transport, metadata
        self._method, self._kind, self._most = method, kind, most
        self._lock = Lock()
        self._waiting: dict[Waiting, None] = {}
        self._under_way = 0
        self._expected, self._until = 1, -inf

    @property
    def idle(self) -> bool:
        """Nobody waits and nothing is under way."""
        return not (self._under_way or self._waiting)

    def enter(self) -> bool:
        """Whether a caller goes at once and by itself; it then says `ended`."""
        with self._lock:
            if self._under_way or self._waiting or (self._expected > 1 and monotonic() < self._until):
                return False
            self._under_way += 1
            return True

    def join(self, caller: Waiting) -> None:
        """Wait for company; whoever does calls `dispatch` until it has gone."""
        with self._lock:
            self._waiting[caller] = None
            if caller.came < self._until:
                self._until = caller.came + self._transport.linger_seconds

    def leave(self, caller: Waiting) -> None:
        """Answered or not. A request that all have left is cancelled."""
        with self._lock:
            if caller in self._waiting:
                del self._waiting[caller]
                self._wake_oldest()
            if (went := caller.went) is None:
                return
            went.present.discard(caller)
            deserted = not went.present and not caller.settled
        if deserted and went.call is not None:
            went.call.cancel()

    def dispatch(self) -> float:
        """Send what may go; when, on the monotonic clock, more may."""
        while True:
            now = monotonic()
            with self._lock:
                departs = self._departs(now)
                if departs > now:
                    return departs
                merged = self._take(now)
            if merged.callers:
                self._send(merged)

    def _departs(self, now: float) -> float:
        if not self._waiting:
            return inf
        if sum(caller.rows for caller in self._waiting) >= self._most:
            return now
        if self._under_way:
            return next(iter(self._waiting)).came + PATIENCE_SECONDS
        return now if len(self._waiting) >= self._expected else self._until

    def _take(self, now: float) -> MergedRequest:
        """The oldest, as many as fit, without those whose time is up."""
        callers: list[Waiting] = []
        rows = 0
        for caller in list(self._waiting):
            if callers and rows + caller.rows > self._most:
                break
            del self._waiting[caller]
            if caller.until > now:
                callers.append(caller)
                rows += caller.rows
        merged = MergedRequest(callers, set(callers))
        for caller in callers:
            caller.went = merged
        self._under_way += bool(callers)
        return merged

    def _send(self, merged: MergedRequest) -> None:
        request = merge([caller.request for caller in merged.callers])
        left = max(caller.until for caller in merged.callers) - monotonic()
        try:
            call = self._transport.unary(self._method, request, left, self._metadata, ahead=True)
        except BaseException as error:
            merged.fail(grpc.FutureCancelledError())
            self._wake(merged)
            self.ended(len(merged.callers))
            if not isinstance(error, ValueError):  # that is a channel that was closed under those who wait
                raise
            return
        with self._lock:
            merged.call = call
            deserted = not merged.present
        if deserted:
            call.cancel()
        self._transport.follow(call, self._follow(merged, call))

    async def _follow(self, merged: MergedRequest, call: UnaryAttempt) -> None:
        try:
            merged.settle(self._kind, await call.reply())
        except BaseException as error:
            merged.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._wake(merged)
            await self._transport.turn()
            self.ended(len(merged.callers))

    def _wake(self, merged: MergedRequest) -> None:
        with self._lock:
            for caller in merged.present:
                caller.waker.wake()

    def ended(self, callers: int) -> None:
        """A call of so many was answered, or failed: what gathered meanwhile may go."""
        with self._lock:
            self._under_way -= 1
            self._expected = callers
            self._until = monotonic() + self._transport.linger_seconds if callers > 1 else -inf
            if not self._waiting:
                return
        if self.dispatch() < inf:
            with self._lock:
                self._wake_oldest()

    def _wake_oldest(self) -> None:
        """Somebody must know when to look again."""
        for caller in self._waiting:
            caller.waker.wake()
            return
