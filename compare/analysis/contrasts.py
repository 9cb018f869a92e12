"""Moments of the differences of many pairs of models at once, in one pass over the images.

Two models' R and D are read a stretch of images at a time, and pairs a block at a time, so that what is held
does not grow with the number of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics import skewness
from rdserve.compare.statistics.paired import weighted
from rdserve.compare.stretches import stretches
from rdserve.wire.batches import slices

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Of each pair's difference, in this order. total: R + D. weighted: D + beta R.
QUANTITIES = ("rate", "distortion", "total", "weighted")
# Differences held at once, per quantity: what a core's cache holds.
BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Contrasts:
    """P pairs (a, b) of models, a's values minus b's, over n images. Nats; first axis: QUANTITIES.

    a, b: (P,) positions of models. mean, error: (4, P), the error NaN for one image, or for one group.
    units: images, or groups of them, that the errors are of; worth: how many independent ones they are.
    skewness: (4, P), of units. wins, losses: (4, P) images on which a is lower, or higher, than b.
    covariance: (P,) of the means of R and D.
    """

    a: Int64
    b: Int64
    n: int
    units: int
    worth: float
    mean: Float64
    error: Float64
    skewness: Float64
    wins: Int64
    losses: Int64
    covariance: Float64

    @property
    def statistic(self) -> Float64:
        """(4, P): mean over error; where all values are equal, 0 for zeros and infinite for others."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.mean / self.error
        return np.where((self.error == 0) & (self.mean == 0), 0.0, ratio)


def contrasts(scored: ScoreSet, a: Int64, b: Int64, mix: Float64 | None = None) -> Contrasts:
    """Of pairs at positions a and b (P,): of models, or of mixtures with weights `mix` (G, M)."""
    units, beta = scored.units, scored.beta
    means = means_of(scored)
    if mix is not None:
        means = means @ mix.T
    mean = means[:, a] - means[:, b]
    sums = _Sums(len(a))
    for block, values in _blocks(units, len(a), mix):
        sums.add(block, values, a[block], b[block], mean[:, block], counted=units is scored)
    if units is not scored:
        for block, values in _blocks(scored, len(a), mix):
            sums.count(block, values, a[block], b[block])
    if beta == 1:
        sums.copy_total()
    n = units.n
    error = np.sqrt(sums.squares / (n - 1) / n) if n > 1 else np.full(mean.shape, np.nan)
    lean = skewness.of_moments(sums.squares / n, sums.cubes / n)
    covariance = sums.products / (n - 1) / n if n > 1 else np.full(len(a), np.nan)
    worth = scored.n_independent
    return Contrasts(a, b, scored.n, n, worth, mean, error, lean, sums.wins, sums.losses, covariance)


def _blocks(scored: ScoreSet, pairs: int, mix: Float64 | None) -> Iterator[tuple[slice, Float64]]:
    """Blocks of pairs, with the values of all models, or mixtures, on some of the examples: `values_of`."""
    for rows in stretches(scored.n):
        values = values_of(scored, rows)
        if mix is not None:
            values = mix @ values
        for block in slices(pairs, max(1, BLOCK // values.shape[-1])):
            yield block, values


def quantities(scored: ScoreSet, name: str) -> tuple[Float64, Float64, Float64, Float64]:
    """QUANTITIES of one model, (N,) each."""
    score = scored.score(name)
    return score.rate_nats, score.distortion_nats, weighted(score, 1.0), weighted(score, scored.beta)


class _Sums:
    """Over images, about the mean: sums of squares, of cubes, of products of R and D; wins and losses."""

    def __init__(self, pairs: int) -> None:
        self.squares, self.cubes = np.zeros((4, pairs)), np.zeros((4, pairs))
        self.products = np.zeros(pairs)
        self.wins, self.losses = np.zeros((4, pairs), np.int64), np.zeros((4, pairs), np.int64)

    def add(self, block: slice, values: Float64, a: Int64, b: Int64, mean: Float64, *, counted: bool) -> None:
        """values: (3 or 4, M, rows)."""
        centred = []
        for which, of in enumerate(values):
            d = of[a] - of[b]
            if counted:
                self._count(which, block, d)
            d -= mean[which][:, None]
            square = d * d
            self.squares[which, block] += square.sum(1)
            self.cubes[which, block] += np.einsum("ij,ij->i", square, d)
            centred.append(d)
        self.products[block] += np.einsum("ij,ij->i", *centred[:2])

    def count(self, block: slice, values: Float64, a: Int64, b: Int64) -> None:
        """Wins and losses alone."""
        for which, of in enumerate(values):
            self._count(which, block, of[a] - of[b])

    def _count(self, which: int, block: slice, d: Float64) -> None:
        self.wins[which, block] += np.count_nonzero(d < 0, axis=1)
        self.losses[which, block] += np.count_nonzero(d > 0, axis=1)

    def copy_total(self) -> None:
        """What is weighted is the total."""
        for one in (self.squares, self.cubes, self.wins, self.losses):
            one[3] = one[2]


def means_of(scored: ScoreSet) -> Float64:
    """(4, M): QUANTITIES of every model."""
    means = [[score.rate_nats.mean(), score.distortion_nats.mean()] for score in scored.scores]
    rate, distortion = np.array(means).T
    return np.stack([rate, distortion, rate + distortion, distortion + scored.beta * rate])


def values_of(scored: ScoreSet, rows: slice) -> Float64:
    """(3, M, rows): R, D and R + D; where beta is not 1, (4, M, rows) with D + beta R."""
    columns = zip(*((score.rate_nats, score.distortion_nats) for score in scored.scores), strict=True)
    rate, distortion = (
        np.stack([np.asarray(column[rows], np.float64) for column in quantity]) for quantity in columns
    )
    weighted = [] if scored.beta == 1 else [distortion + scored.beta * rate]
    return np.stack([rate, distortion, distortion + rate, *weighted])
