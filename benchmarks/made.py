"""Comparisons of models that exist as numbers alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.scores import ScoredData, ScoreSet
from rdserve.compare.statistics.intervals import Method


def made(
    values: NDArray[np.float64], *, labels: NDArray[np.int64] | None = None, method: Method = "t"
) -> ScoreSet:
    """Models m0, m1, ... with these R and D, (M, 2, N) nats."""
    n = values.shape[-1]
    return ScoreSet(
        models=tuple(_info(f"m{index}") for index in range(len(values))),
        scores=tuple(Score(rate, d, -(rate + d), np.ones(n), True) for rate, d in values),
        example_ids=np.arange(n, dtype=np.uint64),
        data=ScoredData("made", "all", "0" * 64),
        labels=labels,
        method=method,
    )


def made_by_recipe(values: NDArray[np.float64], runs: Sequence[int]) -> ScoreSet:
    """The same, of which the first runs[0] are runs of one recipe, the next runs[1] of another, and so on."""
    scored = made(values)
    recipes = np.repeat(np.arange(len(runs)), runs).tolist()
    models = tuple(
        replace(info, recipe={"at": str(at)}, training_seed=seed)
        for seed, (info, at) in enumerate(zip(scored.models, recipes, strict=True))
    )
    return replace(scored, models=models, by="recipe")


def _info(name: str) -> ModelInfo:
    return ModelInfo(
        name=name,
        version="1.0",
        state="SERVING",
        state_reason="",
        family="---",
        image_shape=(8, 8),
        latent_dim=4,
        likelihood="bernoulli",
        binarisation="made",
        objective="beta-vae",
        beta=1.0,
        data_name="made",
        data_sha256="0" * 64,
        weights_sha256="1" * 64,
        dtype="float32",
        code_version="0",
        reference=None,
    )
