"""Comparing from Python: `compare(client, models, images)`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.client.images import as_binary
from rdserve.client.results import ModelInfo, Score, concatenate
from rdserve.compare import guard, scoring
from rdserve.compare.comparison import Comparison, Data
from rdserve.compare.race import standing
from rdserve.compare.sequential import START

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Stop:
    """Score in random order, and stop once it is known which model has the least D + beta R.

    baseline: stop instead once each other model is known to be better or worse than this one.
    equivalence_margin: models that surely differ by less than so many nats need no decision.
    chunk: images between looks.
    """

    baseline: str | None = None
    equivalence_margin: float = 0.0
    chunk: int = START


def compare(
    client: Client,
    models: Sequence[str],
    images: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    data: Data | None = None,
    seed: int = 0,
    n_samples: int = 1,
    level: float = 0.95,
    beta: float = 1.0,
    stop: Stop | None = None,
    allow_incomparable: bool = False,
    on_progress: Progress | None = None,
) -> Comparison:
    """Score binary images (N, H, W) on models by name, with the same noise for all.

    labels: (N,) classes. data: what the images are; without it they are named by their own hash.
    seed: of the noise; image i has example id i. n_samples: of e(z|x) per image, K.
    level, beta: of the intervals, and of the D + beta R, that the result reports.
    stop: when to stop before all images are scored; intervals then hold however often one looks.
    allow_incomparable: compare models of different likelihoods, binarisations or data, with a warning.
    on_progress: told (model, rows) as they are done, from several threads.

    Raises:
        InputError: a model that is not there or does not fit the images, models that do not compare, or
            values out of range.
        ServiceError: the first failure of any model; `error.__notes__` names it.
    """
    if not 0 < level < 1 or not beta >= 0:
        raise InputError(f"level lies between 0 and 1 and beta is at least 0, got {level} and {beta}")
    pixels = as_binary(images)
    chosen = _chosen(client, models, pixels.shape[1:])
    if stop and stop.baseline is not None and stop.baseline not in models:
        raise InputError(f"the baseline {stop.baseline!r} is none of {', '.join(models)}")
    about = data or Data("images", "", hashlib.sha256(np.packbits(pixels).tobytes()).hexdigest())
    warnings = guard.check(chosen, allow_incomparable=allow_incomparable)
    unscored = Comparison(
        models=tuple(chosen),
        scores=tuple(_nothing() for _ in chosen),
        example_ids=np.zeros(0, np.uint64),
        data=about,
        seed=seed,
        n_samples=n_samples,
        level=level,
        beta=beta,
        method="sequential" if stop else "t",
        warnings=warnings + (guard.foreign(chosen, about) if data else ()),
        client=client,
    )
    classes = None if labels is None else np.asarray(labels, np.int64)
    if classes is not None and classes.shape != (len(pixels),):
        raise InputError(f"one label per image: {len(pixels)} images, labels of shape {classes.shape}")
    return _score(client, unscored, pixels, classes, stop, on_progress)


def _chosen(client: Client, names: Sequence[str], shape: tuple[int, ...]) -> list[ModelInfo]:
    served = {model.name: model for model in client.models()}
    if not names:
        raise InputError("no model to compare")
    if unknown := [name for name in names if name not in served]:
        raise InputError(f"not served: {', '.join(unknown)}; there are {', '.join(served) or 'none'}")
    chosen = [served[name] for name in names]
    scoring.check_fit(chosen, shape)
    return chosen


def _score(
    client: Client,
    comparison: Comparison,
    pixels: NDArray[np.bool_],
    labels: NDArray[np.int64] | None,
    stop: Stop | None,
    on_progress: Progress | None,
) -> Comparison:
    """Add images chunk by chunk until all are scored, or until what `stop` asks is known."""
    n = len(pixels)
    # Data sets may be sorted by class.
    order = np.random.default_rng(comparison.seed).permutation(n) if stop else np.arange(n)
    for part in _parts(n, stop.chunk if stop else n):
        done = order[: part.stop]
        comparison = replace(
            comparison,
            scores=_more(client, comparison, pixels[order[part]], order[part], on_progress),
            example_ids=done.astype(np.uint64),
            labels=None if labels is None else labels[done],
            images=pixels[done],
        )
        if stop and standing(comparison, stop.baseline, stop.equivalence_margin).settled:
            break
    return comparison


def _more(
    client: Client,
    comparison: Comparison,
    pixels: NDArray[np.bool_],
    ids: NDArray[np.int64],
    on_progress: Progress | None,
) -> tuple[Score, ...]:
    """Every model's scores so far with those of more images behind them."""
    fresh = scoring.score_all(
        client,
        comparison.names,
        pixels,
        n_samples=comparison.n_samples,
        seed=comparison.seed,
        example_ids=ids,
        on_progress=on_progress,
    )
    return tuple(concatenate([comparison.score(name), fresh[name]]) for name in comparison.names)


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _nothing() -> Score:
    empty = np.zeros(0)
    return Score(empty, empty, empty, empty, rate_is_exact=True)
