"""Cutting arrays into requests, and keeping a few of them in flight. Knows sizes, not calls."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.errors import InputError
from rdserve.wire.limits import MAX_MESSAGE_BYTES

# Far below the server's limits: a chunk should take seconds, so that progress shows and little is redone.
MAX_ROWS = 256
MAX_ROW_SAMPLES = 1024

# A row's latents and its image are at most this large, for where the size is the server's to know:
# 4096 float32 three times over (mode, scale, sample); 256 x 256 pixels.
LATENT_BYTES = 3 * 4096 * 4
IMAGE_BYTES = 256 * 256

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def rows_per_chunk(bytes_per_row: int, n_samples: int) -> int:
    """Rows of one request, whose larger side (request or reply) takes bytes_per_row. At least 1."""
    # Half the limit: room for field headers, and no message near the edge.
    by_bytes = MAX_MESSAGE_BYTES // 2 // max(bytes_per_row, 1)
    return max(1, min(MAX_ROWS, MAX_ROW_SAMPLES // max(n_samples, 1), by_bytes))


def example_ids(given: ArrayLike | None, n: int) -> NDArray[np.uint64]:
    """One id per row, (n,) uint64; 0 .. n - 1 where none are given.

    Raises:
        InputError: another number of ids, or ids that are not whole and >= 0.
    """
    if given is None:
        return np.arange(n, dtype=np.uint64)
    ids = np.asarray(given)
    if ids.shape != (n,):
        raise InputError(f"example_ids has shape {ids.shape} for {n} rows; give one id per row")
    if ids.dtype.kind not in "iu":
        raise InputError(f"example_ids must be whole numbers, got dtype {ids.dtype}")
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise InputError(f"example_ids must be >= 0, got {ids.min()}")
    return ids.astype(np.uint64, copy=False)


class Pending(Protocol[T_co]):
    """A call in flight."""

    async def reply(self) -> T_co: ...

    def cancel(self) -> object: ...


async def in_order(
    starts: AsyncIterable[Callable[[], Pending[T]]], in_flight: int
) -> AsyncGenerator[T, None]:
    """Start calls, at most `in_flight` unfinished at once, and yield their replies in order.

    Whatever ends the iteration early (an error, the caller) cancels what is still in flight.
    """
    pending: deque[Pending[T]] = deque()
    try:
        async for start in starts:
            pending.append(start())
            if len(pending) >= in_flight:
                yield await _first(pending)
        while pending:
            yield await _first(pending)
    finally:
        for call in pending:
            call.cancel()


async def _first(pending: deque[Pending[T]]) -> T:
    """The oldest call's reply; the call stays in the queue, to be cancelled, until there is one."""
    reply = await pending[0].reply()
    pending.popleft()
    return reply
