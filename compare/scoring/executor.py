"""The calls of a run: chunks out, rows in, failures tried again or given up."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import DeadlineExceeded, RdserveError, ReplyError, ServiceError, Unavailable
from rdserve.client.results import Score
from rdserve.compare.scoring.engines import Chunk, Engine, ScoringCall
from rdserve.compare.scoring.row_store import RowStore
from rdserve.compare.scoring.scheduler import ChunkScheduler

# Seconds until a model that failed for the moment is tried again, unless the server says.
AGAIN_SECONDS = 1.0
# Beyond a call's own deadline, which is what should end it.
GRACE_SECONDS = 5.0

log = logging.getLogger(__name__)

Progress = Callable[[str, int], None]


@dataclass(eq=False)
class _Flight:
    """A chunk under way. waiting: models that have not been told of; for the executor's own thread only."""

    chunk: int
    waiting: set[str]
    call: ScoringCall | None = None


class _Event(NamedTuple):
    """What a call's thread tells: a model's rows or error; no model: the call has ended, with what error."""

    flight: _Flight
    model: str | None
    result: Score | RdserveError


@dataclass
class ChunkExecutor:
    """Calls and their threads; only the thread that runs it writes rows. Run it once.

    images: (N, H, W), ids: (N,); on_progress is told (model, rows) of each chunk that is on disk.
    """

    store: RowStore
    engine: Engine
    images: NDArray[Any]
    ids: NDArray[np.uint64]
    seed: int
    n_samples: int
    on_progress: Progress
    _schedule: ChunkScheduler = field(init=False)
    _events: "queue.SimpleQueue[_Event]" = field(default_factory=queue.SimpleQueue)
    _open: set[_Flight] = field(default_factory=set)
    _heard: float = 0.0
    _out: set[str] = field(default_factory=set)  # models that were away when last heard of
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False
    _failures: dict[str, RdserveError] = field(default_factory=dict)

    def run(self, missing: Mapping[str, NDArray[np.bool_]]) -> dict[str, RdserveError]:
        """Score chunks on models, (chunks,) each; the errors of models that were given up."""
        self._schedule = ChunkScheduler(missing)
        try:
            while not self._schedule.finished:
                self._fill()
                self._take()
        finally:
            with self._lock:
                self._over = True
                for flight in self._open:
                    _cancel(flight)
        return self._failures

    def _fill(self) -> None:
        """Begin every call that has a model to go to."""
        while begun := self._schedule.next(monotonic()):
            chunk, models = begun
            flight = _Flight(chunk, set(models))
            self._open.add(flight)
            self._heard = monotonic()
            # A daemon, for a call that never ends must not keep the process.
            Thread(target=self._follow, args=(flight, models), name="rdserve-score", daemon=True).start()

    def _begin(self, flight: _Flight, models: Sequence[str]) -> ScoringCall:
        """In a thread: an interrupt meets the main one alone, and grpc half way through would never close."""
        rows = self.store.rows(flight.chunk)
        part = np.asarray(self.images[rows])
        call = self.engine.score(Chunk(models, part, self.ids[rows], self.seed, self.n_samples))
        with self._lock:
            flight.call = call
            if self._over:
                call.cancel()
        return call

    def _follow(self, flight: _Flight, models: Sequence[str]) -> None:
        """In a thread: what the call gives, then its end."""
        error: RdserveError = ReplyError("the call ended without all rows")
        try:
            for model, result in self._begin(flight, models):
                self._events.put(_Event(flight, model, result))
        except RdserveError as failure:
            error = failure
        except Exception as bug:
            error = ReplyError(f"{type(bug).__name__}: {bug}")
        self._events.put(_Event(flight, None, error))

    def _take(self) -> None:
        """Await one event; or the time to try a model again, or to stop believing that anything comes."""
        now = monotonic()
        waits = [self._schedule.wait_seconds(now)]
        if self._open:
            waits.append(self._heard + self.engine.timeout + GRACE_SECONDS - now)
        try:
            event = self._events.get(timeout=max(0.0, min(wait for wait in waits if wait is not None)))
        except queue.Empty:
            if self._open and monotonic() >= self._heard + self.engine.timeout + GRACE_SECONDS:
                self._give_up_on_all()
            return
        self._heard = monotonic()
        flight, model, result = event
        if flight not in self._open:
            return
        if model is None:
            self._open.remove(flight)
        told = flight.waiting if model is None else flight.waiting & {model}
        flight.waiting = flight.waiting - told
        for one in told:
            if isinstance(result, Score):
                self._keep(one, flight.chunk, result)
            else:
                self._failed(one, flight.chunk, result)

    def _give_up_on_all(self) -> None:
        """Calls end by their deadline; these have not, so that nothing they may still say counts."""
        silent = DeadlineExceeded(f"nothing came for {self.engine.timeout:g} s, past every deadline")
        flights, self._open = self._open, set()
        for flight in flights:
            _cancel(flight)
            for model in flight.waiting:
                self._failed(model, flight.chunk, silent)

    def _keep(self, model: str, chunk: int, score: Score) -> None:
        if model in self._failures:
            return
        self.store.write(model, chunk, score)
        self._schedule.done(model, chunk)
        self._out.discard(model)
        self.on_progress(model, len(score.rate_nats))

    def _failed(self, model: str, chunk: int, error: RdserveError) -> None:
        now, wait = monotonic(), _again_seconds(error)
        if isinstance(error, Unavailable):
            if not self._out:  # once for all
                log.warning("%s; the run goes on once it is back, within %g s", error, self.engine.timeout)
            self._out.add(model)
        if self._schedule.failed(
            model,
            chunk,
            now=now,
            again_at=None if wait is None else now + wait,
            # That it is away is no fault of the model's: it may be started anew.
            patience=self.engine.timeout if isinstance(error, Unavailable) else 0.0,
        ):
            self._failures[model] = error


def _cancel(flight: _Flight) -> None:
    if flight.call is not None:
        flight.call.cancel()


def _again_seconds(error: RdserveError) -> float | None:
    """How long to wait before another try; None where it would fail again."""
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        return error.retry_after_s
    return AGAIN_SECONDS if isinstance(error, Unavailable | DeadlineExceeded | ReplyError) else None
