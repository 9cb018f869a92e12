"""What scores a chunk on several models: the seam between a run and where its calls are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from rdserve.client import results
from rdserve.client.client import Client
from rdserve.client.compare_stream import CompareStream, ModelFailure
from rdserve.client.errors import RdserveError
from rdserve.client.results import Score


@dataclass(frozen=True)
class Chunk:
    """Images (n, H, W) with the names of their noise, ids (n,), for these models."""

    models: Sequence[str]
    images: NDArray[Any]
    ids: NDArray[np.uint64]
    seed: int
    n_samples: int


Scored = tuple[str, Score | RdserveError]


class ScoringCall(Protocol):
    """A chunk under way: iterate over it once, in any thread, while another may cancel it.

    Yields each model once, when all its rows are there or when it fails. Raises RdserveError where the call
    failed for all the models that it has not yielded.
    """

    def __iter__(self) -> Iterator[Scored]: ...

    def cancel(self) -> None: ...


class Engine(Protocol):
    """Where chunks are scored. Several calls may be under way at once.

    timeout: seconds that each may take, once it is its turn.
    """

    @property
    def timeout(self) -> float: ...

    def score(self, chunk: Chunk) -> ScoringCall:
        """Begin."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Local:
    """Calls made from this process, over one client, which stays open."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.timeout = client.timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def score(self, chunk: Chunk) -> "LocalCall":
        return LocalCall(
            self._client.score_models(
                chunk.models,
                chunk.images,
                n_samples=chunk.n_samples,
                seed=chunk.seed,
                example_ids=chunk.ids,
            ),
            len(chunk.ids),
        )


@dataclass(eq=False)
class LocalCall:
    """One streamed call, its rows put together model by model."""

    stream: CompareStream
    n: int

    def cancel(self) -> None:
        self.stream.cancel()

    def __iter__(self) -> Iterator[Scored]:
        parts: dict[str, list[Score]] = {}
        for part in self.stream:
            if isinstance(part, ModelFailure):
                yield part.model, part.error
                continue
            parts.setdefault(part.model, []).append(part.score)
            if part.first + len(part.score.rate_nats) == self.n:
                yield part.model, results.concatenate(parts.pop(part.model))
