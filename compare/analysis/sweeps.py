"""Curves of a comparison: models of one family, trained for several beta, and how far apart two such lie."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from rdserve.client.results import ModelInfo
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics import curves
from rdserve.compare.statistics.curves import Excess
from rdserve.compare.statistics.frontier import pareto
from rdserve.compare.statistics.intervals import Interval, critical
from rdserve.compare.stretches import stretches

Float64 = NDArray[np.float64]
Measure = Callable[[Float64, Float64], float]


@dataclass(frozen=True)
class Sweep:
    """Models of one family, objective, size and data, by rate. excess: over the H line, of their hull."""

    family: str
    names: tuple[str, ...]
    betas: tuple[float, ...]
    excess: Excess


@dataclass(frozen=True)
class Estimate:
    """interval: of the value, as images vary; None where none can be given."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Gap:
    """How much more b needs than a, each on average over what both reach; None where that is not defined.

    rate_percent, rate_nats: at equal distortion. distortion_nats: at equal rate.
    """

    a: str
    b: str
    rate_percent: Estimate | None
    rate_nats: Estimate | None
    distortion_nats: Estimate | None


def sweeps(scored: ScoreSet, entropy: float) -> tuple[Sweep, ...]:
    """Every curve of two betas or more, two of whose models do not dominate one another. entropy: H, nats."""
    groups: dict[tuple[object, ...], list[ModelInfo]] = {}
    for info in scored.models:
        key = (info.family, info.objective, info.latent_dim, info.likelihood, info.data_sha256)
        groups.setdefault(key, []).append(info)
    found = [_sweep(scored, group, entropy) for group in groups.values()]
    return tuple(sweep for sweep in found if sweep)


def _sweep(scored: ScoreSet, group: Sequence[ModelInfo], entropy: float) -> Sweep | None:
    points = _points(scored, [info.name for info in group])
    if len({info.beta for info in group}) < 2 or len(np.unique(points[pareto(points)], axis=0)) < 2:
        return None
    order = np.lexsort(points.T[::-1])
    return Sweep(
        family=group[0].family,
        names=tuple(group[i].name for i in order),
        betas=tuple(group[i].beta for i in order),
        excess=curves.excess_over_entropy(points, entropy),
    )


def gaps(scored: ScoreSet, found: Sequence[Sweep]) -> Iterator[Gap]:
    """Every two curves."""
    for a, b in combinations(found, 2):
        law = Law.of(scored, a.names, b.names)
        yield Gap(
            a.family,
            b.family,
            law.estimate(curves.bd_rate_percent),
            law.estimate(curves.bd_rate_nats),
            law.estimate(curves.bd_distortion_nats),
        )


def _points(scored: ScoreSet, names: Sequence[str]) -> Float64:
    scores = [scored.score(name) for name in names]
    return np.array([[score.rate_nats.mean(), score.distortion_nats.mean()] for score in scores])


@dataclass(frozen=True)
class Law:
    """Means (2K,), R and D of each of K models, their covariance as images vary, and how many models are a's.

    critical: how many standard errors an interval reaches; None where images were stopped on what was seen.
    """

    means: Float64
    covariance: Float64
    first: int
    critical: float | None

    @classmethod
    def of(cls, scored: ScoreSet, a: Sequence[str], b: Sequence[str]) -> "Law":
        units = scored.units
        scores = [units.score(name) for name in (*a, *b)]
        columns = [column for score in scores for column in (score.rate_nats, score.distortion_nats)]
        n, means = units.n, np.array([column.mean() for column in columns])
        total = np.zeros((len(columns), len(columns)))
        for rows in stretches(n):
            part = np.stack([column[rows] for column in columns]) - means[:, None]
            total += part @ part.T
        fixed = scored.method != "sequential" and scored.n_independent > 2
        reach = critical(scored.level, scored.n_independent) if fixed else None
        return cls(means, total / max(n - 1, 1) / n, len(a), reach)

    def estimate(self, measure: Measure) -> Estimate | None:
        """By the delta method: the measure's slope along each mean, half a standard error to either side."""
        try:
            value = self._at(measure, self.means)
        except ValueError:
            return None
        if self.critical is None:
            return Estimate(value, None)
        steps = 0.5 * np.sqrt(np.diag(self.covariance))
        try:
            slopes = np.array([self._slope(measure, i, step) for i, step in enumerate(steps)])
        except ValueError:
            return Estimate(value, None)
        reach = self.critical * np.sqrt(slopes @ self.covariance @ slopes)
        return Estimate(value, Interval(float(value - reach), float(value + reach)))

    def _slope(self, measure: Measure, i: int, step: float) -> float:
        if not step:
            return 0.0
        move = np.zeros_like(self.means)
        move[i] = step
        return (self._at(measure, self.means + move) - self._at(measure, self.means - move)) / (2 * step)

    def _at(self, measure: Measure, means: Float64) -> float:
        points = means.reshape(-1, 2)
        return measure(points[: self.first], points[self.first :])
