"""Which chunk goes to which models next. Knows neither calls nor rows.

All models that have room get a chunk in one call. The fastest model sets the pace: a slow one falls behind
by at most AHEAD calls, then misses chunks, and gets them later by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Calls under way below which a model is given another: enough to keep a worker busy.
BUSY = 3
# Calls that a model may have under way, so that others need not wait for it.
AHEAD = 16
# How often in a row a model may fail before it is given up.
ATTEMPTS = 3


@dataclass
class _Model:
    pending: NDArray[np.bool_]
    under_way: int = 0
    most: int = AHEAD
    failures: int = 0
    failing_since: float = 0.0
    not_before: float = 0.0
    since: set[int] = field(default_factory=set)  # chunks given after the latest failure
    _first: int = 0

    def first(self) -> int:
        """The first chunk that is pending; beyond the last where none is."""
        while self._first < len(self.pending) and not self.pending[self._first]:
            self._first += 1
        return self._first

    def give(self, chunk: int) -> None:
        self.pending[chunk] = False
        self.under_way += 1
        self.since.add(chunk)

    def put_back(self, chunk: int) -> None:
        self.pending[chunk] = True
        self._first = min(self._first, chunk)

    def has_room(self, now: float) -> bool:
        return self.under_way < self.most and self.not_before <= now

    def is_due(self, now: float) -> bool:
        return self.has_room(now) and self.under_way < BUSY and self.first() < len(self.pending)


class ChunkScheduler:
    """pending: model -> (chunks,) which are to be scored. Times are seconds of any one clock."""

    def __init__(self, pending: Mapping[str, NDArray[np.bool_]]) -> None:
        self._models = {name: _Model(chunks.copy()) for name, chunks in pending.items() if chunks.any()}

    @property
    def finished(self) -> bool:
        """Nothing is pending and nothing is under way."""
        return all(
            not model.under_way and model.first() == len(model.pending) for model in self._models.values()
        )

    def next(self, now: float) -> tuple[int, list[str]] | None:
        """A chunk and the models to score it on, which are then under way; None while all are busy."""
        due = [model for model in self._models.values() if model.is_due(now)]
        if not due:
            return None
        chunk = min(model.first() for model in due)
        group = [name for name, m in self._models.items() if m.pending[chunk] and m.has_room(now)]
        for name in group:
            self._models[name].give(chunk)
        return chunk, group

    def wait_seconds(self, now: float) -> float | None:
        """Until a model that failed may be tried again; None where there is none such."""
        later = [model.not_before - now for model in self._models.values() if model.not_before > now]
        return min(later, default=None)

    def done(self, name: str, chunk: int) -> None:
        """A model has scored a chunk."""
        if model := self._models.get(name):
            model.under_way -= 1
            model.since.discard(chunk)
            model.failures = 0
            model.most = min(2 * model.most, AHEAD)

    def failed(
        self, name: str, chunk: int, *, again_at: float | None, now: float = 0.0, patience: float = 0.0
    ) -> bool:
        """A model has not: whether it is given up. again_at: when to try again; None for never.

        patience: how long it may go on failing before that, however often.
        What was under way beside a failure fails with it, and counts once with it.
        """
        model = self._models.get(name)
        if model is None:
            return False
        model.under_way -= 1
        if chunk in model.since:
            model.failing_since = model.failing_since if model.failures else now
            model.failures += 1
            model.since.clear()
        if again_at is None or (model.failures >= ATTEMPTS and now - model.failing_since >= patience):
            del self._models[name]
            return True
        model.most = 1
        model.not_before = max(model.not_before, again_at)
        model.put_back(chunk)
        return False
