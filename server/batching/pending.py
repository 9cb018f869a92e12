"""Requests that wait for a worker, and which of them travel together."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rdserve.server.observability.call_context import QueueTicket
from rdserve.wire.batches import Request, Response, merge_key, n_rows, n_samples


@dataclass(eq=False)
class PendingRequest:
    """One caller's. max_rows: that a call may hold for it to ride along; 0 keeps it alone."""

    request: Request
    max_rows: int
    answer: asyncio.Future[Response] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    ticket: QueueTicket = field(default_factory=QueueTicket)

    def __post_init__(self) -> None:
        self.rows = n_rows(self.request)
        self.samples = self.rows * n_samples(self.request)
        self.key = merge_key(self.request)

    @property
    def settled(self) -> bool:
        """Whether its caller has an answer, or has left."""
        return self.answer.done()

    def succeed(self, response: Response) -> None:
        """This is its answer, if anyone waits for it."""
        if not self.settled:
            self.answer.set_result(response)

    def fail(self, error: Exception) -> None:
        """It has none, if anyone waits for it."""
        if not self.settled:
            self.answer.set_exception(error)


class PendingRequests:
    """First come, first served; what can be merged with the oldest goes with it."""

    def __init__(self) -> None:
        self._waiting: deque[PendingRequest] = deque()
        self._rows = 0  # those of callers who left count until the next batch

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(self._waiting)

    @property
    def full(self) -> bool:
        """Whether they fill a call."""
        return self._rows >= self._waiting[0].max_rows

    def add(self, pending: PendingRequest) -> None:
        """It is the newest."""
        self._waiting.append(pending)
        self._rows += pending.rows

    def put_back(self, batch: Sequence[PendingRequest]) -> None:
        """They come before all others again, each by itself."""
        for pending in reversed(batch):
            pending.max_rows = 0
            self._waiting.appendleft(pending)
            self._rows += pending.rows

    def take_batch(self) -> list[PendingRequest]:
        """The oldest request that someone still waits for, and those that fit beside it."""
        batch: list[PendingRequest] = []
        kept: deque[PendingRequest] = deque()
        rows = 0
        for pending in self._waiting:
            if pending.settled:
                continue
            fits = not batch or rows + pending.rows <= min(batch[0].max_rows, pending.max_rows)
            if fits and pending.key == (batch or [pending])[0].key:
                batch.append(pending)
                rows += pending.rows
            else:
                kept.append(pending)
        self._waiting = kept
        self._rows = sum(pending.rows for pending in kept)
        return batch

    def clear(self) -> None:
        """None waits any more."""
        self._waiting.clear()
        self._rows = 0
