"""The calls of a run: chunks out, rows in, failures tried again or given up."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import DeadlineExceeded, RdserveError, ReplyError, ServiceError, Unavailable
from rdserve.client.results import Score
from rdserve.compare.columns import Columns
from rdserve.compare.engines import Call, Chunk, Engine
from rdserve.compare.schedule import AHEAD, Schedule

# Seconds until a model that failed for the moment is tried again, unless the server says.
AGAIN_SECONDS = 1.0

Progress = Callable[[str, int], None]


class _Event(NamedTuple):
    """What a call's thread tells: a model's rows or error; no model: the call has ended."""

    call: Call | None
    chunk: int
    model: str | None
    result: Score | RdserveError | None


@dataclass
class Job:
    """Calls and their threads; only the thread that runs the job writes rows. Run it once.

    images: (N, H, W), ids: (N,); on_progress is told (model, rows) of each chunk that is on disk.
    """

    store: Columns
    engine: Engine
    images: NDArray[Any]
    ids: NDArray[np.uint64]
    seed: int
    n_samples: int
    on_progress: Progress
    _schedule: Schedule = field(init=False)
    _events: "queue.SimpleQueue[_Event]" = field(default_factory=queue.SimpleQueue)
    _open: set[Call] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False
    _failures: dict[str, RdserveError] = field(default_factory=dict)

    def run(self, missing: Mapping[str, NDArray[np.bool_]]) -> dict[str, RdserveError]:
        """Score chunks on models, (chunks,) each; the errors of models that were given up."""
        self._schedule = Schedule(missing)
        pool = ThreadPoolExecutor(AHEAD * len(missing), thread_name_prefix="rdserve-score")
        try:
            while not self._schedule.finished:
                self._fill(pool)
                self._take()
        finally:
            with self._lock:
                self._over = True
                for call in self._open:
                    call.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
        return self._failures

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        """Begin every call that has a model to go to."""
        while begun := self._schedule.next(monotonic()):
            pool.submit(self._follow, *begun)

    def _begin(self, index: int, models: Sequence[str]) -> Call:
        """In a thread: an interrupt meets the main one alone, and grpc half way through would never close."""
        rows = self.store.rows(index)
        part = np.asarray(self.images[rows])
        call = self.engine.score(Chunk(models, part, self.ids[rows], self.seed, self.n_samples))
        with self._lock:
            self._open.add(call)
            if self._over:
                call.cancel()
        return call

    def _follow(self, index: int, models: Sequence[str]) -> None:
        """In a thread: every model of the call is told of once, then its end."""
        waiting = set(models)
        call: Call | None = None
        error: RdserveError = ReplyError("the call ended without all rows")
        try:
            call = self._begin(index, models)
            for model, result in call:
                if model in waiting:
                    waiting.remove(model)
                    self._events.put(_Event(call, index, model, result))
        except RdserveError as failure:
            error = failure
        except Exception as bug:
            error = ReplyError(f"{type(bug).__name__}: {bug}")
        for model in waiting:
            self._events.put(_Event(call, index, model, error))
        self._events.put(_Event(call, index, None, None))

    def _take(self) -> None:
        """Await one event, or the time at which a model may be tried again."""
        if self._schedule.finished:
            return
        try:
            event = self._events.get(timeout=self._schedule.wait_seconds(monotonic()))
        except queue.Empty:
            return
        if event.model is None:
            with self._lock:
                self._open -= {event.call}
        elif isinstance(event.result, Score):
            self._keep(event.model, event.chunk, event.result)
        elif event.result is not None:
            self._failed(event.model, event.chunk, event.result)

    def _keep(self, model: str, chunk: int, score: Score) -> None:
        if model in self._failures:
            return
        self.store.write(model, chunk, score)
        self._schedule.done(model, chunk)
        self.on_progress(model, len(score.rate_nats))

    def _failed(self, model: str, chunk: int, error: RdserveError) -> None:
        wait = _again_seconds(error)
        again_at = None if wait is None else monotonic() + wait
        if self._schedule.failed(model, chunk, again_at=again_at):
            self._failures[model] = error


def _again_seconds(error: RdserveError) -> float | None:
    """How long to wait before another try; None where it would fail again."""
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        return error.retry_after_s
    return AGAIN_SECONDS if isinstance(error, Unavailable | DeadlineExceeded | ReplyError) else None
