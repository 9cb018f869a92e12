"""Which objective reaches which rate: runs of each beside the curve of beta-VAEs of the same family."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.statistics.frontier import convex_hull
from rdserve.study.codes import CodeSummary
from rdserve.study.replicates import Replicates, SeedMean, mean_over_seeds, replicates
from rdserve.study.zoo_scores import ScoredModel

# Sparse codes have no curve of their own: that of dense ones with the same decoder.
DENSE = {"sparse-": "---", "sparse+": "-+-"}


@dataclass(frozen=True)
class ObjectiveRow:
    """An objective of one family, over its seeds.

    words: "beta 0.4", "beta 1, annealed", or the suffix that the recipe gave the name; with beta for sparse.
    above_curve: D less that of the beta curve of the same seed at the same R; None beyond its ends.
    on_curve: whether it is a point of that curve.
    """

    runs: Replicates
    family: str
    words: str
    rate: SeedMean
    distortion: SeedMean
    above_curve: SeedMean | None
    on_curve: bool
    nonzero: SeedMean | None = None
    active_units: SeedMean | None = None
    probe_accuracy: SeedMean | None = None


def rows(models: Sequence[ScoredModel], codes: Mapping[str, CodeSummary] | None = None) -> list[ObjectiveRow]:
    """One for each name but for its seed, by family and rate. codes: by model."""
    found = [_row(runs, models, codes or {}) for runs in replicates(models)]
    simple_first = str.maketrans("-+", "01")
    return sorted(found, key=lambda row: (row.family.translate(simple_first), row.rate.mean))


def _row(runs: Replicates, models: Sequence[ScoredModel], codes: Mapping[str, CodeSummary]) -> ObjectiveRow:
    family = DENSE.get(runs.first.family, runs.first.family)
    rate, distortion = (
        runs.mean(lambda run: run.row.rate_nats),
        runs.mean(lambda run: run.row.distortion_nats),
    )
    assert rate
    assert distortion
    heights = [above(curve(models, family, seed), run) for seed, run in runs.runs.items()]
    seen = [codes[run.name] for run in runs.runs.values() if run.name in codes]
    return ObjectiveRow(
        runs,
        family,
        words(runs),
        rate,
        distortion,
        mean_over_seeds(heights),
        on_curve(runs.first),
        *(mean_over_seeds([one[quantity] for one in seen]) for quantity in range(3)),
    )


def words(runs: Replicates) -> str:
    """What sets it apart within its family."""
    model = runs.first
    if model.is_beta_vae and model.family not in DENSE:
        return f"beta {model.beta:g}{', annealed' if model.annealed else ''}"
    suffix = re.search(r"-b[0-9.]+-?(.*)$", runs.name)
    said = (suffix and suffix[1]) or model.info.objective or "not stated"
    return f"{said}, beta {model.beta:g}" if model.family in DENSE else said


def on_curve(model: ScoredModel) -> bool:
    """Whether it is a dense beta-VAE with one beta throughout."""
    return model.is_beta_vae and not model.annealed and model.family not in DENSE


def curve(models: Sequence[ScoredModel], family: str, seed: int) -> NDArray[np.float64]:
    """(M, 2): the lower hull of (R, D) of that seed's beta-VAEs: mixing two reaches each of its points."""
    points = [
        [run.row.rate_nats, run.row.distortion_nats]
        for runs in replicates([model for model in models if model.family == family and on_curve(model)])
        for at, run in runs.runs.items()
        if at == seed
    ]
    return convex_hull(np.array(points)) if points else np.zeros((0, 2))


def above(curve: NDArray[np.float64], model: ScoredModel) -> float:
    """Nats of distortion above the curve (M, 2) at the model's own rate; NaN beyond its ends."""
    if not len(curve):
        return np.nan
    rate, (rates, distortions) = model.row.rate_nats, curve.T
    return model.row.distortion_nats - float(np.interp(rate, rates, distortions, left=np.nan, right=np.nan))
