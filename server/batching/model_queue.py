"""One model's queue: what travels together, and what happens when the model's workers are lost."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from rdserve.server.batching.dispatch_policy import DispatchPolicy
from rdserve.server.batching.latency_model import LatencyModel
from rdserve.server.batching.revocation import IRREVOCABLE, Revocation, Revocations
from rdserve.server.errors import BackendUnavailable, StatusError, WorkerCrashed
from rdserve.server.observability.call_context import UNWATCHED, BatchObserver, QueueTicket
from rdserve.server.worker_protocol import Revoked
from rdserve.wire.batches import Request, Response, merge, merge_key, n_rows, n_samples, op_of, split

Send = Callable[[Request], Awaitable[Response]]


@dataclass(eq=False)
class PendingRequest:
    request: Request
    max_rows: int
    answer: asyncio.Future[Response] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    ticket: QueueTicket = field(default_factory=QueueTicket)

    def __post_init__(self) -> None:
        self.rows = n_rows(self.request)
        self.key = merge_key(self.request)


@dataclass(eq=False)
class InFlightBatch:
    """A call under way."""

    batch: list[PendingRequest]
    alone: bool
    sent: float = field(default_factory=monotonic)
    revocation: Revocation = field(default_factory=Revocation)

    @property
    def unwanted(self) -> bool:
        """Whether all callers have left."""
        return all(waiting.answer.done() for waiting in self.batch)


class ModelQueue:
    """A lone request goes at once; others wait until a worker is free, or until they fill a call and fewer
    than `slots` are under way. Those that can be merged with the oldest go with it. See `DispatchPolicy`.

    A call that the backend lost is sent once more when the lane is opened again, each caller's part by
    itself and with nothing else under way: only so is it known which request ends its worker.
    """

    def __init__(
        self,
        send: Send,
        *,
        slots: int,
        pace: LatencyModel,
        gathering: DispatchPolicy | None = None,
        on_loss: Callable[[BackendUnavailable], None] = lambda error: None,
        watch: BatchObserver = UNWATCHED,
        revocations: Revocations = IRREVOCABLE,
    ) -> None:
        self._send = send
        self._slots = slots
        self._pace = pace
        self._gathering = gathering or DispatchPolicy(slots)
        self._alarm: asyncio.TimerHandle | None = None
        self._on_loss = on_loss
        self._watch = watch
        self._revocations = revocations
        self._queue: deque[PendingRequest] = deque()
        self._rows = 0  # in the queue; those of callers who left count until the next batch
        self._suspects: deque[PendingRequest] = deque()
        self._calls: dict[asyncio.Task[None], InFlightBatch] = {}
        self._open = True
        self._verdict: BackendUnavailable | None = None
        self.answered = 0.0  # monotonic time of the latest answer

    async def submit(self, request: Request, *, max_rows: int) -> Response:
        """The response to a request, which travels beside others while all are at most `max_rows` rows.

        A caller that is cancelled while its request waits costs no call. A call that all its callers have
        left is revoked: its worker gives it up within about a row of pixels, and is free when that is said.
        """
        waiting = PendingRequest(request, max_rows)
        self._queue.append(waiting)
        self._rows += waiting.rows
        with self._pace.holding(op_of(request), _samples([waiting])):
            self._pump()
            try:
                return await waiting.answer
            except asyncio.CancelledError:
                self._revoke_unwanted()
                raise

    @property
    def load(self) -> tuple[int, int]:
        """Requests that wait, calls under way."""
        return len(self._queue) + len(self._suspects), len(self._calls)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not (self._calls or self._queue or self._suspects)

    def hold(self) -> None:
        """Send nothing until `open`; what is under way may still be answered."""
        self._open = False

    def open(self) -> None:
        """Send again: first what was lost."""
        self._open, self._verdict = True, None
        self._pump()

    def abandon(self, error: BackendUnavailable) -> None:
        """Take what is under way for lost: its worker will not answer."""
        self.hold()
        self._verdict = error
        for task in self._calls:
            task.cancel()

    def refuse(self, error: StatusError) -> None:
        """Fail everything that waits."""
        for waiting in (*self._suspects, *self._queue):
            _fail(waiting, error)
        self._suspects.clear()
        self._queue.clear()
        self._rows = 0

    async def drain(self) -> None:
        """Return when nothing waits and nothing is under way."""
        while busy := self._busy():
            await asyncio.wait(busy)

    def _busy(self) -> list[asyncio.Future[Any]]:
        waiting = [each.answer for each in (*self._suspects, *self._queue)]
        return [*self._calls, *(answer for answer in waiting if not answer.done())]

    def overdue(self, *, floor: float, unknown: float) -> float:
        """Seconds that the oldest call has been under way, where that is too long; else 0.

        Too long is ten times what such a call takes, or `floor` if that is more; `unknown` seconds
        where its op has not been answered yet.
        """
        if not self._calls:
            return 0.0
        oldest = min(self._calls.values(), key=lambda call: call.sent)
        request = oldest.batch[0].request
        expected = self._pace.call_seconds(op_of(request), _samples(oldest.batch))
        limit = unknown if expected is None else max(floor, 10 * expected)
        silence = monotonic() - oldest.sent
        return silence if silence > limit else 0.0

    def _pump(self) -> None:
        while self._open and (batch := self._next()):
            call = InFlightBatch(batch, alone=bool(self._suspects))
            if call.alone:
                self._suspects.popleft()
            task = asyncio.create_task(self._run(call))
            self._calls[task] = call
            task.add_done_callback(self._done)

    def _revoke_unwanted(self) -> None:
        for call in self._calls.values():
            if call.unwanted:
                call.revocation.revoke()

    def _next(self) -> list[PendingRequest]:
        while self._suspects and self._suspects[0].answer.done():
            self._suspects.popleft()
        if self._suspects:
            return [] if self._calls else [self._suspects[0]]
        return self._next_batch() if self._sets_off() else []

    def _sets_off(self) -> bool:
        """Whether a batch goes now; if one may go later, there is an alarm."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._queue or len(self._calls) >= self._slots:
            return False
        now = monotonic()
        departs = self._gathering.departs(
            now=now,
            under_way=len(self._calls),
            callers=len(self._queue),
            full=self._rows >= self._queue[0].max_rows,
        )
        if now < departs < inf:
            self._alarm = asyncio.get_running_loop().call_later(departs - now, self._pump)
        return departs <= now

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        self._pump()

    def _next_batch(self) -> list[PendingRequest]:
        """The oldest request that someone still waits for, and those that fit beside it."""
        batch: list[PendingRequest] = []
        kept: deque[PendingRequest] = deque()
        rows = 0
        for waiting in self._queue:
            if waiting.answer.done():
                continue
            fits = not batch or rows + waiting.rows <= min(batch[0].max_rows, waiting.max_rows)
            if fits and waiting.key == (batch or [waiting])[0].key:
                batch.append(waiting)
                rows += waiting.rows
            else:
                kept.append(waiting)
        self._queue = kept
        self._rows = sum(waiting.rows for waiting in kept)
        self._gathering.sent(len(batch))
        return batch

    async def _run(self, call: InFlightBatch) -> None:
        try:
            with (
                self._watch.call([waiting.ticket for waiting in call.batch]) as seen,
                self._revocations.of_call() as call.revocation,
            ):
                request = merge([waiting.request for waiting in call.batch])
                seen.sending(request)
                whole = await self._send(request)
                seen.answered(whole)
                parts = split(whole, [waiting.rows for waiting in call.batch])
        except BackendUnavailable as error:
            self._lost(call, error)
        except asyncio.CancelledError:
            if self._verdict is None:
                raise
            self._lost(call, self._verdict)
        except Revoked:
            self.answered = monotonic()
        except Exception as error:
            await self._run_alone(call, error)
        else:
            self._learn(call)
            for waiting, part in zip(call.batch, parts, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(part)

    def _learn(self, call: InFlightBatch) -> None:
        """Calls queue behind one another in the backend: one's own time starts at the answer before it."""
        now = monotonic()
        begun, self.answered = max(call.sent, self.answered), now
        self._gathering.answered(now)
        self._pace.learn(op_of(call.batch[0].request), _samples(call.batch), now - begun)

    async def _run_alone(self, call: InFlightBatch, error: Exception) -> None:
        """One caller's bad row must not fail its neighbours: each gets what it would get alone."""
        if len(call.batch) == 1:
            _fail(call.batch[0], error)
            return
        for waiting in call.batch:
            if not self._open:
                self._suspects.append(waiting)
            elif not waiting.answer.done():
                self._watch.retried(waiting.request.model, 1, "batch_failed")
                await self._run(InFlightBatch([waiting], call.alone))

    def _lost(self, call: InFlightBatch, error: BackendUnavailable) -> None:
        """The worker took the call with it. Held until the model is back, then tried once more."""
        self.hold()
        if not call.alone:
            self._suspects.extend(call.batch)
            self._watch.retried(call.batch[0].request.model, len(call.batch), "worker_lost")
        elif error.worker_ended:
            _fail(
                call.batch[0], WorkerCrashed(f"{error.message}; twice, the second time on this request alone")
            )
        else:
            _fail(call.batch[0], error)
        self._on_loss(error)


def _fail(waiting: PendingRequest, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _samples(batch: list[PendingRequest]) -> int:
    return sum(waiting.rows * n_samples(waiting.request) for waiting in batch)
