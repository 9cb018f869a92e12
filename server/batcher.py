"""Micro-batching: requests of one kind travel to a model's workers together.

A lone request goes at once. While all of a model's slots are busy, requests wait; when one frees,
those that can be merged with the oldest go with it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from rdserve.models.card import Card
from rdserve.server.chunks import chunk_rows, cut, join
from rdserve.server.errors import BackendUnavailable, Overloaded
from rdserve.server.settings import Settings
from rdserve.server.work import Call, ask
from rdserve.v1.rows import Request, Response, merge, merge_key, n_rows, split


@dataclass(eq=False)
class _Waiting:
    request: Request
    max_rows: int
    answer: asyncio.Future[Response] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Lane:
    """One model's queue. `send` takes a request there and back; at most `slots` of them at a time."""

    def __init__(self, send: Callable[[Request], Awaitable[Response]], *, slots: int) -> None:
        self._send = send
        self._free = slots
        self._queue: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, request: Request, *, max_rows: int) -> Response:
        """The response to a request of at most `max_rows` rows.

        A caller that is cancelled while its request waits costs no call; one whose request was sent
        leaves it to finish, because a worker cannot be stopped.
        """
        waiting = _Waiting(request, max_rows)
        self._queue.append(waiting)
        self._pump()
        return await waiting.answer

    async def drain(self) -> None:
        """Return when nothing waits and nothing runs."""
        while self._running:
            await asyncio.wait(self._running)

    def _pump(self) -> None:
        while self._free and (batch := self._next_batch()):
            self._free -= 1
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free += 1
        self._pump()

    def _next_batch(self) -> list[_Waiting]:
        """The oldest request that someone still waits for, and those that fit beside it."""
        batch: list[_Waiting] = []
        kept: deque[_Waiting] = deque()
        rows, key = 0, None
        for waiting in self._queue:
            if waiting.answer.done():
                continue
            if not batch:
                key = merge_key(waiting.request)
            size = n_rows(waiting.request)
            if not batch or (merge_key(waiting.request) == key and rows + size <= batch[0].max_rows):
                batch.append(waiting)
                rows += size
            else:
                kept.append(waiting)
        self._queue = kept
        return batch

    async def _run(self, batch: list[_Waiting]) -> None:
        try:
            whole = await self._send(merge([waiting.request for waiting in batch]))
            parts = split(whole, [n_rows(waiting.request) for waiting in batch])
        except Exception as error:
            await self._run_alone(batch, error)
            return
        for waiting, part in zip(batch, parts, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(part)

    async def _run_alone(self, batch: list[_Waiting], error: Exception) -> None:
        """One caller's bad row must not fail its neighbours: each gets what it would get alone.

        Not where the worker is gone: nobody's row is at fault then, and trying each takes long.
        """
        live = [waiting for waiting in batch if not waiting.answer.done()]
        if len(batch) == 1 or isinstance(error, BackendUnavailable):
            for waiting in live:
                waiting.answer.set_exception(error)
            return
        for waiting in live:
            await self._run([waiting])


class Batcher:
    """Every model's lane, and the bounds over them."""

    def __init__(self, call: Call, settings: Settings) -> None:
        self._call = call
        self._settings = settings
        self._lanes: dict[str, Lane] = {}
        self._requests: dict[str, int] = {}
        self._bytes = 0

    async def run(self, request: Request, card: Card) -> Response:
        """The response to a request of any size.

        Raises:
            Overloaded: too many requests, or bytes of them, are waiting.
            ServiceError: what `ask` raises.
        """
        return join([part async for part in self.stream(request, card)])

    async def stream(self, request: Request, card: Card) -> AsyncIterator[Response]:
        """The response in parts of consecutive rows, as they come.

        Raises:
            as `run`.
        """
        max_rows = chunk_rows(request, card, self._settings.max_batch_rows)
        lane = self._lane(request.model)
        with self._admitted(request):
            if n_rows(request) <= max_rows:
                yield await lane.submit(request, max_rows=max_rows)
                return
            async for part in self._in_chunks(request, lane, max_rows):
                yield part

    async def _in_chunks(self, request: Request, lane: Lane, max_rows: int) -> AsyncIterator[Response]:
        """A window of chunks at a time: other callers get their turn, and a cancelled one stops costing."""
        window: deque[asyncio.Task[Response]] = deque()
        try:
            for part in cut(request, max_rows):
                window.append(asyncio.create_task(lane.submit(part, max_rows=max_rows)))
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
        await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))

    def _lane(self, model: str) -> Lane:
        if model not in self._lanes:
            self._lanes[model] = Lane(self._ask, slots=self._settings.slots)
        return self._lanes[model]

    async def _ask(self, request: Request) -> Response:
        return await ask(self._call, request)

    @contextlib.contextmanager
    def _admitted(self, request: Request) -> Iterator[None]:
        size, held = request.ByteSize(), self._requests.get(request.model, 0)
        most, most_bytes = self._settings.max_queued_requests, self._settings.max_queued_bytes
        if held >= most:
            raise Overloaded(f"model {request.model!r} has {held} requests waiting, at most {most} may")
        if self._bytes and self._bytes + size > most_bytes:
            raise Overloaded(
                f"{self._bytes} bytes of requests are waiting and this one has {size}; "
                f"at most {most_bytes} may"
            )
        self._requests[request.model] = held + 1
        self._bytes += size
        try:
            yield
        finally:
            self._requests[request.model] -= 1
            self._bytes -= size
