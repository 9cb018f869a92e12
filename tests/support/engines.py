"""An engine whose answers a test decides, on no service."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from rdserve.client import Score
from rdserve.client.errors import Cancelled, RdserveError
from rdserve.compare.scoring.engines import Chunk, Scored


def rate_of(ids: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """What `score_of` says each example's rate is."""
    return ids.astype(np.float64) + 0.5


def score_of(chunk: Chunk) -> Score:
    """Scores that tell which example each row belongs to."""
    rate = rate_of(chunk.ids)
    return Score(rate, 2 * rate, -3 * rate, np.ones(len(rate)), rate_is_exact=True)


Answer = Callable[[Chunk], Iterable[Scored]]


def all_models(chunk: Chunk) -> Iterator[Scored]:
    """Every model gives its scores."""
    return ((model, score_of(chunk)) for model in chunk.models)


@dataclass
class Scripted:
    """Answers calls as the test says, and keeps them. What an answer raises, the call raises."""

    answer: Answer = all_models
    calls: list[Chunk] = field(default_factory=list)
    keep: bool = True
    timeout: float = 300.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def score(self, chunk: Chunk) -> "ScriptedCall":
        if self.keep:
            self.calls.append(chunk)
        return ScriptedCall(self.answer, chunk)


@dataclass(eq=False)
class ScriptedCall:
    answer: Answer
    chunk: Chunk
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def __iter__(self) -> Iterator[Scored]:
        for scored in self.answer(self.chunk):
            if self.cancelled:
                raise Cancelled("cancelled")
            yield scored


def failing(model: str, error: RdserveError) -> Answer:
    """Every model gives its scores but this one."""

    def answer(chunk: Chunk) -> Iterator[Scored]:
        for name, score in all_models(chunk):
            yield name, error if name == model else score

    return answer
