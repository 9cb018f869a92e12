"""One array in, one result out, whatever number of calls lies between."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Generic

import grpc
import numpy as np
from numpy.typing import NDArray
from rdserve.client import chunking, results, unreachable
from rdserve.client.attempts import Lifetime, RetriedCall, RetriedStream
from rdserve.client.coalescing import MAX_ROWS, Coalescer
from rdserve.client.errors import ServiceError
from rdserve.client.rows import Operation, Rows, T
from rdserve.client.transport import Transport, UnaryAttempt
from rdserve.wire.batches import slices

Ids = NDArray[np.integer[Any]]
Progress = Callable[[int], None]
Begin = Callable[[float], UnaryAttempt]


@dataclass(frozen=True)
class ChunkCall(Generic[T]):
    """A chunk's call under way. last: whether no more of the same rows follow."""

    call: RetriedCall
    kind: type[T]
    n: int
    last: bool

    async def reply(self) -> tuple[T, bool]:
        """The result, and whether it is the last. Raises ServiceError and ReplyError."""
        return results.from_reply(self.kind, await self.call.reply(), self.n), self.last

    def cancel(self) -> None:
        self.call.cancel()


@dataclass(frozen=True)
class Caller:
    """How calls are made.

    transport: what they go over. lifetime: of the client that they are made for.
    timeout: seconds that each may take, all its attempts together.
    in_flight: how many are sent ahead of the one awaited.
    metadata: what each carries; not shown, for it holds the token.
    coalescer: what merges small calls; None where each goes by itself.
    """

    transport: Transport
    lifetime: Lifetime
    timeout: float
    in_flight: int
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    coalescer: Coalescer | None = None

    def deadline(self) -> float:
        """Of a call that begins now, on the monotonic clock."""
        return monotonic() + self.timeout

    async def one(self, method: str, request: object) -> Any:
        """A single call's reply. Raises ServiceError."""
        return await self._begin(self._unary(method, request), self.deadline()).reply()

    async def rows(
        self, operation: Operation[T], model: str, rows: Rows, on_progress: Progress | None = None
    ) -> T:
        """Send rows in chunks, join the replies.

        Raises:
            InputError: one row alone is larger than a message.
            ServiceError: the first chunk that failed; the rest are cancelled.
            ReplyError: a reply with too few rows.
        """
        n, most = len(rows.array), rows.per_chunk(operation)
        if n <= most:
            result = await self._whole(operation, model, rows, min(most, MAX_ROWS))
            if on_progress:
                on_progress(n)
            return result
        done: list[T] = []
        async with aclosing(self.parts(operation, model, _once(rows))) as parts:
            async for part, _ in parts:
                done.append(part)
                if on_progress:
                    on_progress(results.n_rows(part))
        return results.concatenate(done)

    async def _whole(self, operation: Operation[T], model: str, rows: Rows, most: int) -> T:
        """Of rows that are one chunk; with others' where `most` hold more than these."""
        n, kind = len(rows.array), operation.kind
        request = operation.chunk(model, rows, slice(0, n))
        coalescer, until = self.coalescer, self.deadline()
        if coalescer is None or n >= most:
            reply = await self._begin(self._unary(operation.method, request), until).reply()
            return results.concatenate([results.from_reply(kind, reply, n)])
        method = getattr(self.transport.service, operation.method)
        begun = partial(coalescer.begin, method, kind, request, most)
        result: T = await self._begin(begun, until).reply()
        return result

    async def parts(
        self, operation: Operation[T], model: str, several: AsyncGenerator[Rows, None]
    ) -> AsyncGenerator[tuple[T, bool], None]:
        """What becomes of each chunk, in order, `in_flight` of them under way; and whether it ends its rows.

        Raises as `rows`.
        """

        async def starts() -> AsyncGenerator[Callable[[], ChunkCall[T]], None]:
            async with aclosing(several) as batches:
                async for rows in batches:
                    for part in slices(len(rows.array), rows.per_chunk(operation)):
                        yield partial(self._chunk, operation, model, rows, part)

        async with (
            aclosing(starts()) as each,
            aclosing(chunking.in_order(each, self.in_flight)) as replies,
        ):
            async for reply in replies:
                yield reply

    def _chunk(self, operation: Operation[T], model: str, rows: Rows, part: slice) -> ChunkCall[T]:
        begin = self._unary(operation.method, operation.chunk(model, rows, part), ahead=True)
        last = part.stop == len(rows.array)
        return ChunkCall(self._begin(begin, self.deadline()), operation.kind, part.stop - part.start, last)

    def stream(self, method: str, request: object, until: float) -> RetriedStream:
        """A call of many replies, begun, with a deadline as of `deadline`."""
        made = getattr(self.transport.service, method)
        return RetriedStream(
            lambda left: self.transport.stream(made, request, left, self.metadata),
            until,
            self.lifetime,
            self._typed,
        )

    def _unary(self, method: str, request: object, *, ahead: bool = False) -> Begin:
        made = getattr(self.transport.service, method)
        return lambda left: self.transport.unary(made, request, left, self.metadata, ahead=ahead)

    def _begin(self, begin: Begin, until: float) -> RetriedCall:
        return RetriedCall(begin, until, self.lifetime, self._typed)

    def _typed(self, error: grpc.RpcError) -> ServiceError:
        return unreachable.typed(error, self.lifetime.address, self.transport.connected, self.timeout)


async def _once(rows: Rows) -> AsyncGenerator[Rows, None]:
    yield rows
