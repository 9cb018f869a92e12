"""Requests of any size to the queues of their models: cut, bounded, and refused where they would be late."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator

from rdserve.models.card import Card
from rdserve.server.batching.chunking import chunk_rows
from rdserve.server.batching.dispatch_policy import DispatchPolicy
from rdserve.server.batching.latency_model import LatencyModel
from rdserve.server.batching.model_queue import ModelQueue
from rdserve.server.batching.revocation import Revocations
from rdserve.server.errors import DeadlineTooShort, Overloaded
from rdserve.server.observability.batch_observer import BatchObserver
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import Call, CallMeta, OnLoss, Reply, call_worker
from rdserve.wire.batches import Request, Response, cut, first_rows, join, n_rows, n_samples, op_of


class Scheduler:
    """Every model's queue, and the bounds over them."""

    def __init__(
        self,
        call: Call,
        settings: Settings,
        observer: BatchObserver,
        revocations: Revocations,
    ) -> None:
        self._call = call
        self._settings = settings
        self._on_loss: OnLoss = lambda model, error: None
        self._observer = observer
        self._revocations = revocations
        self._queues: dict[str, ModelQueue] = {}
        self._latencies: dict[str, LatencyModel] = {}
        self._requests: dict[str, int] = {}
        self._bytes = 0

    def subscribe(self, on_loss: OnLoss) -> None:
        """Tell of models whose workers are lost."""
        self._on_loss = on_loss

    async def run(self, request: Request, card: Card, left: float | None = None) -> Response:
        """The response to a request of any size; `left`: seconds until its caller's deadline.

        Raises:
            Overloaded: too many requests, or bytes of them, are waiting.
            DeadlineTooShort: it would not be answered in time.
            ServiceError: what `call_worker` raises.
        """
        return join([part async for part in self.stream(request, card, left)])

    async def stream(
        self, request: Request, card: Card, left: float | None = None, *, merged: bool = True
    ) -> AsyncIterator[Response]:
        """The response in parts of consecutive rows, as they come.

        merged: False keeps others' rows out of its calls. Sums of floats depend on the size of a batch in
            their last digit; so the request alone decides all digits.

        Raises:
            as `run`.
        """
        max_rows = chunk_rows(request, card, self._settings.max_batch_rows)
        queue = self.queue(request.model)
        self._check_deadline(request, left)
        with self._admitted(request):
            if n_rows(request) <= first_rows(request, max_rows):
                yield await queue.submit(request, max_rows=max_rows if merged else 0)
                return
            async for part in self._in_chunks(request, queue, max_rows, merged):
                yield part

    async def _in_chunks(
        self, request: Request, queue: ModelQueue, max_rows: int, merged: bool
    ) -> AsyncIterator[Response]:
        """A window of chunks at a time: other callers get their turn, and a cancelled one stops costing."""
        window: deque[asyncio.Task[Response]] = deque()
        try:
            for part in cut(request, max_rows):
                most = max_rows if merged else 0
                window.append(asyncio.create_task(queue.submit(part, max_rows=most)))
                if len(window) == self._settings.slots:
                    yield await window.popleft()
            while window:
                yield await window.popleft()
        finally:
            for task in window:
                task.cancel()
            await asyncio.gather(*window, return_exceptions=True)

    async def drain(self) -> None:
        """Return when every request sent has been answered."""
        await asyncio.gather(*(queue.drain() for queue in self._queues.values()))

    def queue(self, model: str) -> ModelQueue:
        """The model's queue."""
        if model not in self._queues:
            self._latencies[model] = LatencyModel(self._settings.max_batch_rows)
            self._queues[model] = ModelQueue(
                self._send,
                slots=self._settings.slots,
                policy=DispatchPolicy(self._settings.workers),
                latency=self._latencies[model],
                on_loss=lambda error: self._on_loss(model, error),
                observer=self._observer,
                revocations=self._revocations,
            )
        return self._queues[model]

    def loads(self) -> dict[str, tuple[int, int]]:
        """By model: requests that wait, calls under way."""
        return {model: queue.load for model, queue in list(self._queues.items())}

    def held_bytes(self) -> int:
        """Of all requests, waiting or running."""
        return self._bytes

    async def _send(self, request: Request, meta: CallMeta) -> Reply:
        return await call_worker(self._call, request, meta)

    def _wait_seconds(self, request: Request) -> float:
        return self._latencies[request.model].wait_seconds(
            op_of(request), n_rows(request) * n_samples(request)
        )

    def _check_deadline(self, request: Request, left: float | None) -> None:
        if left is not None and (wait := self._wait_seconds(request)) > left:
            raise DeadlineTooShort(request.model, wait_seconds=wait, left_seconds=left)

    @contextlib.contextmanager
    def _admitted(self, request: Request) -> Iterator[None]:
        size, held = request.ByteSize(), self._requests.get(request.model, 0)
        most, most_bytes = self._settings.max_queued_requests, self._settings.max_queued_bytes
        if held >= most:
            raise Overloaded(
                f"model {request.model!r} has {held} requests waiting, at most {most} may",
                wait_seconds=self._wait_seconds(request),
            )
        if self._bytes and self._bytes + size > most_bytes:
            raise Overloaded(
                f"{self._bytes} bytes of requests are waiting and this one has {size}; "
                f"at most {most_bytes} may",
                wait_seconds=self._wait_seconds(request),
            )
        self._requests[request.model] = held + 1
        self._bytes += size
        try:
            yield
        finally:
            self._requests[request.model] -= 1
            self._bytes -= size
