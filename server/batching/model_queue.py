"""One model's queue: what is sent to its workers when, and what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from rdserve.server.batching.dispatch_policy import DispatchPolicy
from rdserve.server.batching.in_flight import InFlight, InFlightBatch
from rdserve.server.batching.latency_model import LatencyModel
from rdserve.server.batching.loss_recovery import LossRecovery, SendState
from rdserve.server.batching.pending import PendingRequest, PendingRequests
from rdserve.server.batching.revocation import Revocations
from rdserve.server.clock import now
from rdserve.server.errors import BackendUnavailable, StatusError
from rdserve.server.observability.batch_observer import BatchObserver
from rdserve.server.worker_protocol import CallMeta, Reply, Revoked
from rdserve.wire.batches import Request, Response, merge, op_of, split

Send = Callable[[Request, CallMeta], Awaitable[Reply]]


class ModelQueue:
    """A lone request goes at once; others wait until a worker is free, or until they fill a call and fewer
    than `slots` are under way. Those that can be merged with the oldest go with it. See `DispatchPolicy`, and
    `LossRecovery` for calls that the backend lost.
    """

    def __init__(
        self,
        send: Send,
        *,
        slots: int,
        latency: LatencyModel,
        policy: DispatchPolicy,
        on_loss: Callable[[BackendUnavailable], None],
        observer: BatchObserver,
        revocations: Revocations,
    ) -> None:
        self._send = send
        self._slots = slots
        self._latency = latency
        self._policy = policy
        self._observer = observer
        self._revocations = revocations
        self._pending = PendingRequests()
        self._in_flight = InFlight()
        self._recovery = LossRecovery(on_loss, observer)
        self._alarm: asyncio.TimerHandle | None = None
        self.answered = 0.0  # time of the latest answer

    async def submit(self, request: Request, *, max_rows: int) -> Response:
        """The response to a request, which travels beside others while all are at most `max_rows` rows.

        A caller that is cancelled while its request waits costs no call. A call that all its callers have
        left is revoked: its worker gives it up within about a row of pixels, and is free when that is said.
        """
        pending = PendingRequest(request, max_rows)
        self._pending.add(pending)
        with self._latency.holding(op_of(request), pending.samples):
            self._dispatch()
            try:
                return await pending.answer
            except asyncio.CancelledError:
                self._in_flight.revoke_unwanted()
                raise

    @property
    def load(self) -> tuple[int, int]:
        """Requests that wait, calls under way."""
        return len(self._pending) + len(self._recovery.suspects), len(self._in_flight)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not any(self.load)

    def hold(self) -> None:
        """Send nothing until `open`; what is under way may still be answered."""
        self._recovery.hold()

    def open(self) -> None:
        """Send again: first what was lost."""
        self._recovery.resume()
        self._dispatch()

    def abandon(self, error: BackendUnavailable) -> None:
        """Take what is under way for lost: its worker will not answer."""
        self.hold()
        self._in_flight.give_up(error)

    def refuse(self, error: StatusError) -> None:
        """Fail everything that waits."""
        for pending in (*self._recovery.suspects, *self._pending):
            pending.fail(error)
        self._recovery.suspects.clear()
        self._pending.clear()

    async def drain(self) -> None:
        """Return when nothing waits and nothing is under way."""
        while busy := self._busy():
            await asyncio.wait(busy)

    def _busy(self) -> list[asyncio.Future[Any]]:
        waiting = (*self._recovery.suspects, *self._pending)
        return [*self._in_flight, *(pending.answer for pending in waiting if not pending.settled)]

    def overdue(self, *, floor: float, unknown: float) -> float:
        """Seconds that the oldest call has been under way, where that is too long; else 0.

        Too long is ten times what such a call takes, or `floor` if that is more; `unknown` seconds
        where its op has not been answered yet.
        """
        oldest = self._in_flight.oldest
        if oldest is None:
            return 0.0
        expected = self._latency.call_seconds(oldest.op, oldest.samples)
        limit = unknown if expected is None else max(floor, 10 * expected)
        silence = now() - oldest.sent
        return silence if silence > limit else 0.0

    def _dispatch(self) -> None:
        while batch := self._next():
            self._in_flight.start(batch, self._run(batch), self._ended)

    def _ended(self, batch: InFlightBatch) -> None:
        if batch.given_up is not None:
            self._recovery.lost(batch, batch.given_up)
        self._dispatch()

    def _next(self) -> InFlightBatch | None:
        state = self._recovery.state()
        if state is SendState.HELD or self._in_flight.isolated:
            return None
        if state is SendState.ISOLATING:
            return None if self._in_flight else self._recovery.next_suspect()
        if self._sets_off() and (batch := self._pending.take_batch()):
            self._policy.sent(len(batch))
            return InFlightBatch(batch)
        return None

    def _sets_off(self) -> bool:
        """Whether a batch goes now; if one may go later, there is an alarm."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._pending or len(self._in_flight) >= self._slots:
            return False
        time = now()
        departs = self._policy.departs(
            now=time, under_way=len(self._in_flight), callers=len(self._pending), full=self._pending.full
        )
        if time < departs < inf:
            self._alarm = asyncio.get_running_loop().call_at(departs, self._dispatch)
        return departs <= time

    async def _run(self, batch: InFlightBatch) -> None:
        try:
            parts = await self._ask(batch)
        except BackendUnavailable as error:
            self._recovery.lost(batch, error)
        except Revoked:
            self.answered = now()
        except Exception as error:
            self._failed(batch, error)
        else:
            self._learn(batch)
            for pending, part in zip(batch.requests, parts, strict=True):
                pending.succeed(part)

    async def _ask(self, batch: InFlightBatch) -> list[Response]:
        """Each caller's part of the answer."""
        with (
            self._observer.call([pending.ticket for pending in batch.requests]) as seen,
            self._revocations.of_call() as batch.revocation,
        ):
            request = merge([pending.request for pending in batch.requests])
            meta = CallMeta(seen.sending(request), batch.revocation.name)
            reply = await self._send(request, meta)
            seen.answered(reply)
            return split(reply.response, [pending.rows for pending in batch.requests])

    def _failed(self, batch: InFlightBatch, error: Exception) -> None:
        """One caller's bad row must not fail its neighbours: each gets what it would get alone."""
        if len(batch.requests) == 1:
            batch.requests[0].fail(error)
            return
        waiting = [pending for pending in batch.requests if not pending.settled]
        self._observer.retried(batch.requests[0].request.model, len(waiting), "batch_failed")
        self._pending.put_back(waiting)

    def _learn(self, batch: InFlightBatch) -> None:
        """Calls queue behind one another in the backend: one's own time starts at the answer before it."""
        begun, self.answered = max(batch.sent, self.answered), now()
        self._policy.answered(self.answered)
        self._latency.learn(batch.op, batch.samples, self.answered - begun)
