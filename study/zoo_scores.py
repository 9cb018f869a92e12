"""Served models scored on a split, each under the noise of its own card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client import Client, InputError, ModelInfo, Score
from rdserve.compare import compatibility
from rdserve.compare.render.figures.layout import PlaneLayout, of_rows
from rdserve.compare.scoring import row_store
from rdserve.compare.scoring.executor import Progress
from rdserve.compare.scoring.run import run as score_all
from rdserve.compare.statistics import frontier, summaries
from rdserve.compare.statistics.ellipse import confidence_ellipse
from rdserve.compare.statistics.summaries import ModelSummary
from rdserve.study.subset import Examples


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """A trained model and where it stands on some examples, under the noise of `seed`."""

    info: ModelInfo
    row: ModelSummary
    score: Score
    seed: int

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def family(self) -> str:
        return self.info.family

    @property
    def beta(self) -> float:
        return self.info.beta

    @property
    def annealed(self) -> bool:
        """Whether beta rose from 0."""
        return self.info.annealing_epochs > 0

    @property
    def is_beta_vae(self) -> bool:
        """Whether it minimised D + beta R, as all of the paper's do."""
        return self.info.objective == "beta-vae"

    @property
    def cost(self) -> float:
        """R + D = -ELBO, nats."""
        return -self.row.elbo_nats


@dataclass(frozen=True)
class ScoredZoo:
    """All models of a zoo, along the frontier. failures: why others have no scores."""

    examples: Examples
    all: tuple[ScoredModel, ...]
    failures: Mapping[str, str]

    @property
    def layout(self) -> PlaneLayout:
        """Their rate-distortion plane."""
        ellipses = [
            confidence_ellipse(model.score.rate_nats, model.score.distortion_nats) for model in self.all
        ]
        return of_rows([model.row for model in self.all], ellipses)

    @property
    def title(self) -> str:
        """ "18 models on digits (test, 400 images)"."""
        return f"{len(self.all)} models on {self.examples.dataset.name} ({self.examples.words})"


def fitting(client: Client, x: NDArray[Any]) -> tuple[list[ModelInfo], dict[str, str]]:
    """The served models that take such x (N, ...); and of the others, by name, why not.

    Raises:
        InputError: none does.
    """
    served = client.models()
    faults = {model.name: compatibility.misfit(model, x) for model in served}
    fit = [model for model in served if not faults[model.name]]
    if not fit:
        raise InputError(
            f"none of {len(served)} served models takes {'x'.join(map(str, x.shape[1:]))} images"
        )
    return fit, {name: fault for name, fault in faults.items() if fault}


def score(
    client: Client,
    models: Sequence[ModelInfo],
    examples: Examples,
    *,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> ScoredZoo:
    """Score the examples on every model, with the seed and the number of samples of the model's card.

    folder: keeps the rows: what is there is not scored again. on_progress: told (model, rows).

    Raises:
        InputError: the folder holds rows of other images, or is in use.
        RdserveError: no model gave its scores.
    """
    scored: list[ScoredModel] = []
    failures: dict[str, str] = {}
    for seed, n_samples in sorted({_noise(model) for model in models}):
        group = [model for model in models if _noise(model) == (seed, n_samples)]
        place = folder and folder / f"{examples.dataset.split}-{examples.n}-seed{seed}-k{n_samples}"
        outcome = score_all(
            client,
            group,
            examples.images,
            ids=examples.ids,
            seed=seed,
            n_samples=n_samples,
            folder=place,
            on_progress=on_progress,
        )
        if place:
            row_store.finish(place)  # retrained models may take the room
        failures |= outcome.failures
        scored += _scored(group, outcome.scores, seed, n_samples)
    return ScoredZoo(examples, tuple(marked(scored)), failures)


def _noise(model: ModelInfo) -> tuple[int, int]:
    """The seed and the samples per image with which the card's own numbers were found."""
    return (model.reference.seed, model.reference.n_samples) if model.reference else (0, 1)


def _scored(
    models: Sequence[ModelInfo], scores: Mapping[str, Score], seed: int, n_samples: int
) -> list[ScoredModel]:
    there = {model.name: model for model in models if model.name in scores}
    found = summaries.summarise(list(there.values()), [scores[name] for name in there], n_samples=n_samples)
    return [ScoredModel(there[row.name], row, scores[row.name], seed) for row in found]


def marked(models: Sequence[ScoredModel]) -> list[ScoredModel]:
    """By rate, each told whether it is on the frontier of all of them."""
    points = np.array([[model.row.rate_nats, model.row.distortion_nats] for model in models]).reshape(-1, 2)
    best = frontier.pareto(points)
    told = [
        replace(model, row=replace(model.row, on_frontier=bool(on)))
        for model, on in zip(models, best, strict=True)
    ]
    return sorted(told, key=lambda model: (model.row.rate_nats, model.row.distortion_nats, model.name))
