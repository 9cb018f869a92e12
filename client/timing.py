"""Where the time of calls went, as the service tells with each answer.

with timings() as calls:
    client.score("model", images)
print(calls[0].queue_seconds, calls[0].compute_seconds)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rdserve.client.errors import REQUEST_ID
from rdserve.client.transport import Attempt


@dataclass(frozen=True)
class Timing:
    """One call: an array that is sent in chunks makes several.

    request_id: names the call in the service's log.
    queue_seconds: the longest that a part of it waited for a worker.
    batch_rows: rows, others' included, of the largest batch it was computed in.
    compute_seconds: in the model, over its batches.
    """

    request_id: str
    model_version: str
    queue_seconds: float
    batch_rows: int
    compute_seconds: float


_CALLS: ContextVar[list[Timing] | None] = ContextVar("timings", default=None)


@contextmanager
def timings() -> Iterator[list[Timing]]:
    """A list that gets the timing of every call that this thread, or task, finishes inside the block."""
    calls: list[Timing] = []
    token = _CALLS.set(calls)
    try:
        yield calls
    finally:
        _CALLS.reset(token)


async def note(attempt: Attempt) -> None:
    """Of an RPC that was answered."""
    if (calls := _CALLS.get()) is not None:
        calls.append(_timing(await attempt.trailing_metadata()))


def _timing(metadata: Iterable[tuple[str, str]] | None) -> Timing:
    """A service that does not tell, or a proxy that drops it, leaves zeros and empty strings."""
    told = dict(metadata or ())
    return Timing(
        request_id=told.get(REQUEST_ID, ""),
        model_version=told.get("rdserve-model-version", ""),
        queue_seconds=float(told.get("rdserve-queue-seconds", 0)),
        batch_rows=int(told.get("rdserve-batch-rows", 0)),
        compute_seconds=float(told.get("rdserve-compute-seconds", 0)),
    )
