"""Several models scored on one upload, each model's rows as they come."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rdserve.client import results
from rdserve.client.blocking import iterate
from rdserve.client.calls import Caller
from rdserve.client.errors import InputError, ReplyError, ServiceError, from_status
from rdserve.client.results import Score
from rdserve.client.rows import KEY_BYTES, Rows
from rdserve.v1 import vae_pb2
from rdserve.wire import tensors
from rdserve.wire.limits import MAX_MESSAGE_BYTES


@dataclass(frozen=True)
class ModelRows:
    """Consecutive rows of one model's scores, those of images[first : first + len(score.rate_nats)]."""

    model: str
    first: int
    score: Score


@dataclass(frozen=True)
class ModelFailure:
    """A model that gives no more rows, and why."""

    model: str
    error: ServiceError


class CompareCall:
    """One call under way; iterate over it once, with `async for`.

    Raises:
        InputError: no models, one twice, or more images than a message holds.
        ServiceError: the call failed as a whole; what was yielded before holds.
        ReplyError: a reply that breaks the contract.
    """

    def __init__(self, caller: Caller, models: Sequence[str], rows: Rows) -> None:
        if not models or len(set(models)) < len(models):
            raise InputError(f"name at least one model, each once; got {', '.join(models) or 'none'}")
        request = vae_pb2.CompareRequest(
            models=models, noise=rows.keys.noise(slice(None)), n_samples=rows.keys.n_samples
        )
        tensors.fill(request.images, rows.array)
        size = request.ByteSize() + KEY_BYTES
        self._n = len(rows.array)
        if size > MAX_MESSAGE_BYTES:
            raise InputError(f"{self._n} images take {size} bytes, a message at most {MAX_MESSAGE_BYTES}")
        self._came = dict.fromkeys(models, 0)
        self._call = caller.stream("Compare", request, caller.deadline())

    def cancel(self) -> None:
        """End the call; the iteration then raises Cancelled."""
        self._call.cancel()

    async def __aiter__(self) -> AsyncGenerator[ModelRows | ModelFailure, None]:
        async with aclosing(self._call.replies()) as replies:
            async for reply in replies:
                yield self._read(reply)
        if missing := [model for model, rows in self._came.items() if rows < self._n]:
            raise ReplyError(f"the reply ended without all {self._n} rows of {', '.join(missing)}")

    def _read(self, reply: vae_pb2.CompareResponse) -> ModelRows | ModelFailure:
        if reply.model not in self._came:
            raise ReplyError(f"rows of model {reply.model!r}, which was not asked for")
        if reply.WhichOneof("result") == "error":
            self._came[reply.model] = self._n
            return ModelFailure(reply.model, from_status(reply.error))
        first, came = self._came[reply.model], len(reply.scores.rate_nats)
        if reply.first_row != first or first + came > self._n:
            raise ReplyError(
                f"model {reply.model!r}: {came} rows from {reply.first_row} on, after {first} of {self._n}"
            )
        self._came[reply.model] += came
        return ModelRows(reply.model, first, results.from_reply(Score, reply.scores, came))


class CompareStream:
    """The same for threads: iterate over it once, with `for`."""

    def __init__(self, call: CompareCall) -> None:
        self._call = call

    def cancel(self) -> None:
        """End the call, from any thread; the iteration then raises Cancelled."""
        self._call.cancel()

    def __iter__(self) -> Iterator[ModelRows | ModelFailure]:
        return iterate(aiter(self._call))
