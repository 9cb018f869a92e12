"""Calls to workers that are under way."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from rdserve.server.batching.pending import PendingRequest
from rdserve.server.batching.revocation import Revocation
from rdserve.server.clock import now
from rdserve.server.errors import BackendUnavailable
from rdserve.wire.batches import op_of


@dataclass(eq=False)
class InFlightBatch:
    """One call. isolated: nothing else is under way. given_up: why its worker was taken for lost."""

    requests: list[PendingRequest]
    isolated: bool = False
    sent: float = field(default_factory=now)
    revocation: Revocation = field(default_factory=Revocation)
    given_up: BackendUnavailable | None = None

    @property
    def op(self) -> str:
        """Of every request in it."""
        return op_of(self.requests[0].request)

    @property
    def samples(self) -> int:
        """Rows times samples per row, of all requests in it."""
        return sum(pending.samples for pending in self.requests)


class InFlight(dict[asyncio.Task[None], InFlightBatch]):
    """Of one model."""

    def start(
        self, batch: InFlightBatch, work: Coroutine[None, None, None], ended: Callable[[InFlightBatch], None]
    ) -> None:
        """The batch is under way until the work ends, or is given up; then `ended` is called."""

        def done(task: asyncio.Task[None]) -> None:
            del self[task]
            if not task.cancelled():
                batch.given_up = None
            ended(batch)

        self[task := asyncio.create_task(work)] = batch
        task.add_done_callback(done)

    @property
    def isolated(self) -> bool:
        """Whether a call is under way beside which none may be."""
        return any(batch.isolated for batch in self.values())

    @property
    def oldest(self) -> InFlightBatch | None:
        """The one that was sent first."""
        return min(self.values(), key=lambda batch: batch.sent, default=None)

    def revoke_unwanted(self) -> None:
        """Calls that all their callers have left need not be answered."""
        for batch in self.values():
            if all(pending.settled for pending in batch.requests):
                batch.revocation.revoke()

    def give_up(self, error: BackendUnavailable) -> None:
        """No call will be answered."""
        for task, batch in self.items():
            batch.given_up = error
            task.cancel()
