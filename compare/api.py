"""Comparing from Python: `compare(client, models, images)`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.client.inputs import as_examples
from rdserve.client.results import ModelInfo
from rdserve.compare import compatibility
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.caution import cautions
from rdserve.compare.analysis.recipe_groups import check_runs
from rdserve.compare.analysis.stopping import stopping_status
from rdserve.compare.comparison import Comparison
from rdserve.compare.group_ids import as_group_ids, looks, shuffled
from rdserve.compare.origin import Origin
from rdserve.compare.scores import By, ScoredData, ScoreSet, images_sha256
from rdserve.compare.scoring.engines import Engine
from rdserve.compare.scoring.executor import Progress
from rdserve.compare.scoring.run import ScoringOutcome, ScoringRun
from rdserve.compare.served import served

# Posterior samples per image, where nobody says how many: an even number, as many as SAMPLES over all images
# of a model are. Two are the fewest that show how far an ELBO falls short.
SAMPLES, MOST_SAMPLES, LEAST_SAMPLES = 8_000, 8, 2


def default_samples(n: int) -> int:
    """Posterior samples of each of n images: 8 of up to 1,000 of them, 6 to 1,333, 4 to 2,000, else 2."""
    return max(LEAST_SAMPLES, min(MOST_SAMPLES, SAMPLES // max(1, n)) // 2 * 2)


@dataclass(frozen=True)
class Stop:
    """Score in random order, and stop once it is known which model has the least D + beta R.

    baseline: stop instead once each other model is known to be better or worse than this one.
    equivalence_margin: models that surely differ by less than so many nats need no decision.
    chunk: images between looks, and the rest of the last one's group; nothing is said before
        `rdserve.compare.statistics.sequential.START` of them.
    """

    baseline: str | None = None
    equivalence_margin: float = 0.0
    chunk: int = 100


def compare(
    client: Client,
    models: Sequence[str] | None,
    images: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    group_ids: ArrayLike | None = None,
    data: ScoredData | None = None,
    seed: int = 0,
    n_samples: int | None = None,
    level: float = 0.95,
    beta: float = 1.0,
    by: By = "model",
    stop: Stop | None = None,
    allow_incomparable: bool = False,
    engine: Engine | None = None,
    folder: Path | None = None,
    restart: bool = False,
    on_progress: Progress | None = None,
) -> Comparison:
    """Score binary images (N, H, W) on models by name, with the same noise for all.

    models: None for all that serve and take the images; what is left out is named in `warnings`.
    images: those of a file that is mapped (np.load with mmap_mode) are read a stretch at a time.
    labels: (N,) classes. data: what the images are; without it they are named by their own hash.
    group_ids: (N,) numbers or names of what an image is of, such as its writer, patient or film: images of
        one group depend on one another, and all errors, intervals and tests are then of groups.
    seed: of the noise; image i has example id i. n_samples: of e(z|x) per image, K; None
        for `default_samples` of so many images.
    level, beta: of the intervals, and of the D + beta R, that the result reports.
    by: "recipe" also compares recipes, of which models are runs that differ in their seeds alone: over all
        their runs, not only these. It needs two runs or more of each, and takes no `stop`.
    stop: when to stop before all images are scored; intervals then hold however often one looks.
    allow_incomparable: compare models of different data, preprocessing, measures or units, with a warning.
    engine: where scoring is called from; over this client by default.
    folder: keeps the rows, so that the same comparison goes on from them; `restart` starts over.
    on_progress: told (model, rows) as they are done.

    A model that fails is left out, with a warning and its reason in `failures`.

    Raises:
        InputError: a model that is not there or does not fit the images, models that do not compare, one
            run twice by recipe, values out of range, or a folder with rows of another comparison.
        RdserveError: no model gave all its scores; `error.__notes__` names the first that failed.
    """
    if not 0 < level < 1 or not beta >= 0:
        raise InputError(f"level lies between 0 and 1 and beta is at least 0, got {level} and {beta}")
    pixels = as_examples(images)
    k = default_samples(len(pixels)) if n_samples is None else n_samples
    chosen, left_out = _chosen(client, models, pixels)
    names = [model.name for model in chosen]
    if stop and stop.baseline is not None and stop.baseline not in names:
        raise InputError(f"the baseline {stop.baseline!r} is none of {', '.join(names)}")
    if by == "recipe":
        check_runs(chosen)
    classes = None if labels is None else np.asarray(labels, np.int64)
    if classes is not None and classes.shape != (len(pixels),):
        raise InputError(f"one label per image: {len(pixels)} images, labels of shape {classes.shape}")
    groups = None if group_ids is None else as_group_ids(group_ids, len(pixels))
    # Data sets may be sorted by class.
    order = shuffled(len(pixels), groups, np.random.default_rng(seed)) if stop else None
    about = data or ScoredData("images", "", images_sha256(pixels))
    warnings = compatibility.check(chosen, allow_incomparable=allow_incomparable)
    unscored = ScoreSet(
        models=(),
        scores=(),
        example_ids=(np.arange(len(pixels)) if order is None else order).astype(np.uint64),
        data=about,
        seed=seed,
        n_samples=k,
        labels=_ordered(classes, order),
        group_ids=_ordered(groups, order),
        level=level,
        beta=beta,
        method="sequential" if stop else "t",
        by=by,
        warnings=left_out + warnings + (compatibility.foreign(chosen, about) if data else ()),
    )
    shown = pixels if order is None else pixels[order]
    with ScoringRun(
        engine or client,
        chosen,
        shown,
        ids=unscored.example_ids,
        seed=seed,
        n_samples=k,
        folder=folder,
        restart=restart,
        on_progress=on_progress,
    ) as run:
        analysis = _score(run, chosen, replace(unscored, origin=Origin(run.began, client.address)), stop)
    return Comparison.of(analysis, shown[: analysis.scored.n], client)


def _chosen(
    client: Client, names: Sequence[str] | None, x: NDArray[Any]
) -> tuple[list[ModelInfo], tuple[str, ...]]:
    """The models asked for; of all, those that can be scored, and a sentence for each that cannot."""
    if names is None:
        known = {model.name: model for model in client.models()}
        faults = {name: compatibility.misfit(model, x) for name, model in known.items()}
        left_out = tuple(f"{name} is left out: it {fault}" for name, fault in faults.items() if fault)
        chosen = [model for name, model in known.items() if not faults[name]]
        if not chosen:
            raise InputError("; ".join(["no model to compare", *left_out]))
        return chosen, left_out
    if not names:
        raise InputError("no model to compare")
    if len(set(names)) < len(names):
        raise InputError(f"each model once, got {', '.join(names)}")
    known = served(client, names)
    chosen = [known[name] for name in names]
    compatibility.check_fit(chosen, x)
    return chosen, ()


def _score(run: ScoringRun, models: Sequence[ModelInfo], unscored: ScoreSet, stop: Stop | None) -> Analysis:
    """Add images chunk by chunk until all are scored, or until what `stop` asks is known."""
    for n in looks(unscored.n, unscored.group_ids, stop.chunk) if stop else [unscored.n]:
        analysis = Analysis(_scored(unscored, models, run.until(n), n))
        if stop and stopping_status(analysis, stop.baseline, stop.equivalence_margin).settled:
            break
    scored = analysis.scored
    warnings = scored.warnings + cautions(scored, analysis.pairs)
    return analysis.carried_to(replace(scored, warnings=warnings))


def _scored(unscored: ScoreSet, models: Sequence[ModelInfo], outcome: ScoringOutcome, n: int) -> ScoreSet:
    """The first n examples, on the models that gave scores."""
    failed = tuple(f"{model} is left out, it failed: {why}" for model, why in outcome.failures.items())
    return replace(
        unscored,
        models=tuple(model for model in models if model.name in outcome.scores),
        scores=tuple(outcome.scores.values()),
        example_ids=unscored.example_ids[:n],
        labels=_ordered(unscored.labels, slice(n)),
        group_ids=_ordered(unscored.group_ids, slice(n)),
        warnings=unscored.warnings + failed,
        failures=outcome.failures,
    )


def _ordered(
    labels: NDArray[np.int64] | None, which: NDArray[np.int64] | slice | None
) -> NDArray[np.int64] | None:
    return labels if labels is None or which is None else labels[which]
