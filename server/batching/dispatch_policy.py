"""When a batch sets off: how long to wait for those who could travel along."""

from dataclasses import dataclass, field
from math import inf

# Callers who were answered together often ask again together; this long they may take.
LINGER_SECONDS = 0.002
# Part of the last batch's callers that is worth waiting for.
EXPECTED = 0.5


@dataclass
class DispatchPolicy:
    """One queue's rule. Times are monotonic seconds.

    While a worker is free a request goes at once, unless a batch was answered just now: then half of its
    callers are waited for, LINGER_SECONDS at most. Beyond one call per worker only full batches go: they
    wait in the backend, so that no worker idles between two, where they can no longer grow.
    """

    workers: int
    _callers: int = field(default=1, init=False)
    _until: float = field(default=-inf, init=False)

    def departs(self, *, now: float, under_way: int, callers: int, full: bool) -> float:
        """When a batch may go, if nothing else happens before: `now`, later, or never (inf)."""
        if full:
            return now
        if under_way >= self.workers:
            return inf
        return now if callers >= EXPECTED * self._callers else max(now, self._until)

    def sent(self, callers: int) -> None:
        """A batch of so many callers set off."""
        self._callers = callers

    def answered(self, now: float) -> None:
        """A batch came back."""
        self._until = now + LINGER_SECONDS
