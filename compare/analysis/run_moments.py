"""Means and variances of recipes over their runs and over images, in one pass over the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.analysis.contrasts import means_of, values_of
from rdserve.compare.analysis.recipe_groups import Recipe
from rdserve.compare.scores import ScoreSet
from rdserve.compare.stretches import stretches

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RunMoments:
    """Of G recipes over images. Nats; first axis: QUANTITIES. NaN where a recipe has one run, or n is 1.

    n: images, or groups of them. runs: (G,) how many. mean: (4, G).
    images: (4, G) standard error over images, runs averaged. between: (4, G) variance of the means of a
    recipe's runs. interaction: (4, G) mean square of run by image.
    """

    n: int
    runs: Float64
    mean: Float64
    images: Float64
    between: Float64
    interaction: Float64


def averaging(scored: ScoreSet, recipes: Sequence[Recipe]) -> Float64:
    """(G, M): weights that make a recipe's mean of its runs' values."""
    return np.array([[(name in one.models) / one.runs for name in scored.names] for one in recipes])


def run_moments(scored: ScoreSet, mix: Float64) -> RunMoments:
    """Of recipes whose runs `averaging` weighs; every model is a run of one."""
    units = scored.units
    n, runs, of = units.n, np.count_nonzero(mix, axis=1).astype(np.float64), mix.argmax(0)
    means = means_of(scored)
    mean = means @ mix.T
    squares, within = np.zeros(mean.shape), np.zeros(mean.shape)
    for rows in stretches(n):
        own = values_of(units, rows) - means[: 3 if scored.beta == 1 else 4, :, None]
        shared = mix @ own
        rest = own - shared[:, of]
        squares[: len(own)] += (shared**2).sum(-1)
        within[: len(own)] += (rest**2).sum(-1) @ (mix > 0).T
    if scored.beta == 1:
        squares[3], within[3] = squares[2], within[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = ((means - mean[:, of]) ** 2 @ (mix > 0).T) / (runs - 1)
        interaction = within / (runs - 1) / (n - 1)
        images = np.sqrt(squares / (n - 1) / n)
    return RunMoments(n, runs, mean, images, between, interaction)
