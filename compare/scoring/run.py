"""Scoring many images on many models: one upload per chunk, rows to disk, and where it stopped it goes on."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError, RdserveError
from rdserve.client.results import ModelInfo, Score
from rdserve.client.rows import RowKeys
from rdserve.compare.scoring import row_store
from rdserve.compare.scoring.engines import Engine, Local
from rdserve.compare.scoring.executor import ChunkExecutor, Progress
from rdserve.compare.scoring.row_store import RowStore
from rdserve.wire.batches import slices

# Samples in one chunk, the server's default for one call to a worker: each chunk is such a call, so that all
# digits depend on nothing but the run.
CHUNK_SAMPLES = 256
# Bytes of images in one call, over all its models: half of what the server takes.
CALL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class ScoringOutcome:
    """scores: model -> its rows, left on disk until looked at. failures: model -> why it has none."""

    scores: Mapping[str, Score]
    failures: Mapping[str, str]


class ScoringRun:
    """Images (N, H, W) being scored on models under the noise of (seed, ids), as far as one asks for.

    images: anything with shape, len and slices, such as np.load(..., mmap_mode="r"); read a chunk at a time.
    folder: where rows are kept, and found by a run that goes on; `restart` forgets those of before.
    on_progress: told (model, rows) of each finished chunk, and of what the folder had.

    Raises:
        InputError: no rows, ids that do not fit, or a folder with rows of another run, by what differs.
    """

    def __init__(
        self,
        engine: Engine | Client,
        models: Sequence[ModelInfo],
        images: NDArray[Any],
        *,
        ids: ArrayLike | None = None,
        seed: int = 0,
        n_samples: int = 1,
        folder: Path | None = None,
        restart: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        if not len(images) or not models:
            raise InputError(f"nothing to score: {len(models)} models and {len(images)} images")
        self._images, self._seed, self._n_samples = images, seed, n_samples
        self._ids = RowKeys.of(len(images), n_samples, seed, ids).ids
        self._on_progress = on_progress or (lambda *_: None)
        self._failures: dict[str, RdserveError] = {}
        with ExitStack() as stack:
            place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rdserve-rows-")))
            if restart:
                row_store.remove(place)
            self._store = stack.enter_context(self._open_store(place, models))
            self._engine = stack.enter_context(Local(engine) if isinstance(engine, Client) else engine)
            self._missing = {model.name: self._store.missing(model.name) for model in models}
            self._stack = stack.pop_all()
        for model, missing in self._missing.items():
            self._report_found(model, missing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def began(self) -> str:
        """When the first of its rows was begun, by this run or by one that it goes on from: ISO 8601, UTC."""
        return self._store.began

    def until(self, n: int) -> ScoringOutcome:
        """The first n rows of every model that gives them, scored where they are missing.

        Raises:
            RdserveError: no model is left; the first one's error, with a note that names it.
        """
        upto = -(-n // self._store.chunk)
        wanted = {
            model: missing & (np.arange(len(missing)) < upto) for model, missing in self._missing.items()
        }
        executor = ChunkExecutor(
            self._store, self._engine, self._images, self._ids, self._seed, self._n_samples, self._on_progress
        )
        failed = executor.run(wanted)
        for model in wanted:
            self._missing[model][:upto] = False
        self._failures |= failed
        for model in failed:
            del self._missing[model]
        if not self._missing:
            model, error = next(iter(self._failures.items()))
            error.add_note(f"model {model!r}")
            raise error
        scores = {model: self._store.score(model, n) for model in self._missing}
        return ScoringOutcome(scores, {model: _in_words(error) for model, error in self._failures.items()})

    def _open_store(self, folder: Path, models: Sequence[ModelInfo]) -> RowStore:
        n, size = len(self._images), _rows_per_chunk(self._images, len(models), self._n_samples)
        facts = {
            "images_sha256": row_store.pixels_sha256(self._images, slices(n, size)),
            "ids_sha256": hashlib.sha256(self._ids.astype("<u8").tobytes()).hexdigest(),
            "seed": int(self._seed),
            "n_samples": int(self._n_samples),
        }
        return RowStore(folder, facts, {model.name: _identity(model) for model in models}, n=n, chunk=size)

    def _report_found(self, model: str, missing: NDArray[np.bool_]) -> None:
        found = [self._store.rows(int(chunk)) for chunk in np.flatnonzero(~missing)]
        if rows := sum(part.stop - part.start for part in found):
            self._on_progress(model, rows)


def run(
    engine: Engine | Client, models: Sequence[ModelInfo], images: NDArray[Any], **options: Any
) -> ScoringOutcome:
    """All rows: `ScoringRun` with its options, to the end. Raises as `ScoringRun` and its `until`."""
    with ScoringRun(engine, models, images, **options) as whole:
        return whole.until(len(images))


def _identity(model: ModelInfo) -> str:
    """What a model's rows depend on. Replicas may have several CPUs, which tell in the last digits alone."""
    device = "cpu" if model.device.startswith("cpu") else model.device
    return f"{model.weights_sha256} {model.dtype} on {device}" if device else model.weights_sha256


def _rows_per_chunk(images: NDArray[Any], n_models: int, n_samples: int) -> int:
    """At least 1; and no more than what the server can hand to every model."""
    bytes_per_row = -(-int(np.prod(images.shape[1:])) // 8)
    return max(1, min(CHUNK_SAMPLES // n_samples, CALL_BYTES // max(1, n_models * bytes_per_row)))


def _in_words(error: RdserveError) -> str:
    reason = getattr(error, "reason", "") or type(error).__name__
    return f"{reason}: {error}"
