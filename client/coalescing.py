"""Small calls that one process makes at the same time, as one request.

A call goes at once where none like it is under way; those that come meanwhile gather, and go together when it
is answered. Every row keeps its own seed and example id, so who rode along moves an answer by rounding alone.
Every caller keeps its own deadline, cancellation and errors. What is merged is one attempt:
`rdserve.client.attempts` decides for each caller whether there is another.
"""

from time import monotonic
from typing import Any

import grpc
from rdserve.client import results
from rdserve.client.attempts import pause_seconds
from rdserve.client.lane import Lane, Waiting
from rdserve.client.transport import Metadata, Transport, UnaryAttempt
from rdserve.client.unreachable import OVERDUE
from rdserve.wire.batches import Request, merge_key, n_rows

# Of one merged request; larger calls gain little by company, and go by themselves.
MAX_ROWS = 64
# Kinds of calls that are remembered, beside those under way.
MOST_LANES = 256

# What is so for everyone in a request, whoever else is. Anything else may be one row's fault, or that of so
# many rows together, and then each caller asks again by itself.
_ALIKE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)


class Coalescer:
    """Of one client. metadata: what each call carries."""

    def __init__(self, transport: Transport, metadata: Metadata) -> None:
        self.transport, self.metadata = transport, metadata
        self._lanes: dict[tuple[object, ...], Lane] = {}

    def begin(
        self, method: Any, kind: type[Any], request: Request, most: int, timeout: float
    ) -> "CoalescedCall":
        """An attempt at a call that may be merged with others, at most `most` rows together."""
        key = merge_key(request)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= MOST_LANES:
                self._lanes = {key: lane for key, lane in self._lanes.copy().items() if not lane.idle}
            made = Lane(self.transport, self.metadata, method, kind, most)
            lane = self._lanes.setdefault(key, made)
        return CoalescedCall(self, lane, method, kind, request, monotonic() + timeout)


class CoalescedCall:
    """One caller's attempt, whose reply is its result. until: its deadline, on the monotonic clock."""

    def __init__(
        self, coalescer: Coalescer, lane: Lane, method: Any, kind: type[Any], request: Request, until: float
    ) -> None:
        self._coalescer, self._lane = coalescer, lane
        self._method, self._kind, self._request, self._until = method, kind, request, until
        self._answered: UnaryAttempt | None = None

    async def reply(self) -> Any:
        """The caller's own rows."""
        if self._lane.enter():
            try:
                return await self._by_itself()
            finally:
                self._lane.ended(1)
        caller = await self._in_company()
        if caller.error is None:
            self._answered = caller.went.call if caller.went else None
            return caller.part
        if _alike(caller.error):
            raise caller.error
        return await self._by_itself()

    async def _by_itself(self) -> Any:
        left, by = max(0.0, self._until - monotonic()), self._coalescer
        self._answered = by.transport.unary(self._method, self._request, left, by.metadata)
        reply = await self._answered.reply()
        return results.concatenate([results.from_reply(self._kind, reply, n_rows(self._request))])

    async def _in_company(self) -> Waiting:
        """Return once it is settled. Raises RpcError at the caller's own deadline."""
        lane, caller = self._lane, Waiting(self._request, self._until, self._coalescer.transport.waker())
        lane.join(caller)
        try:
            while not caller.settled:
                looks = lane.dispatch() if caller.went is None else self._until
                now = monotonic()
                if now >= self._until:
                    raise _overdue()
                if not caller.settled:
                    await caller.waker.wait(min(looks, self._until) - now)
        finally:
            lane.leave(caller)
        return caller

    async def trailing_metadata(self) -> Metadata | None:
        return await self._answered.trailing_metadata() if self._answered else None

    def cancel(self) -> None:
        """Nobody but the one who waits for it knows of it."""


def _alike(error: BaseException) -> bool:
    """Whether it is everybody's. A full queue is: those it turned away must not each ask at once."""
    if isinstance(error, grpc.FutureCancelledError):
        return True
    if not isinstance(error, grpc.RpcError):
        return False
    code = error.code()
    return code in _ALIKE or (
        code is grpc.StatusCode.RESOURCE_EXHAUSTED and pause_seconds(error, 1) is not None
    )


def _overdue() -> grpc.RpcError:
    """As grpc has it where a deadline passes on this side."""
    none = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(
        grpc.StatusCode.DEADLINE_EXCEEDED, none, none, details=OVERDUE, debug_error_string=OVERDUE
    )
