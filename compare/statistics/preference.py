"""For which beta one model is better than another.

D + beta R is linear in beta, so the difference of two models, dD + beta dR, changes sign once at most: at
the crossing -dD / dR. Where it surely has one sign is where (dD + beta dR)^2 exceeds the squared critical
value times its variance, a quadratic in beta: E. C. Fieller, Some problems in interval estimation, J. R.
Statistical Society B 16 (1954).
"""

import math
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics import skewness
from rdserve.compare.statistics.intervals import Method, critical
from rdserve.compare.statistics.summaries import moments

Answer = Literal["A", "B", "undecided"]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """Betas from low to high (infinity where there is no end) with one answer to "which is better?"."""

    low: float
    high: float
    answer: Answer


@dataclass(frozen=True)
class Preference:
    """Stretches cover beta from 0 to infinity in order. crossing: where the means are equal; None if nowhere.

    reach: how many standard errors D + beta R has to be apart for an answer.
    """

    stretches: tuple[Stretch, ...]
    crossing: float | None
    reach: float

    def at(self, beta: float) -> Answer:
        """The answer at one beta >= 0; on an edge, the more cautious one."""
        answers = {s.answer for s in self.stretches if s.low <= beta <= s.high}
        return answers.pop() if len(answers) == 1 else "undecided"

    def where(self, answer: Answer) -> list[tuple[float, float]]:
        """The ranges of beta with this answer."""
        return [(s.low, s.high) for s in self.stretches if s.answer == answer]

    @property
    def turned(self) -> "Preference":
        """The same answers, seen from B."""
        names: dict[Answer, Answer] = {"A": "B", "B": "A", "undecided": "undecided"}
        return replace(self, stretches=tuple(replace(s, answer=names[s.answer]) for s in self.stretches))


class BetaLines(NamedTuple):
    """Of P pairs, (P,) each: means, variances and covariance of the mean differences in R and D, nats."""

    mean_r: Float64
    mean_d: Float64
    var_r: Float64
    var_d: Float64
    covariance: Float64

    def mean(self, beta: Float64) -> Float64:
        """(..., P): of D + beta R at beta (..., P)."""
        return self.mean_d + beta * self.mean_r

    def variance(self, beta: Float64) -> Float64:
        """(..., P): of that mean."""
        return self.var_d + 2 * beta * self.covariance + beta**2 * self.var_r

    def crossings(self) -> Float64:
        """(P,): the beta >= 0 at which the mean is zero, NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = np.where(self.mean_r == 0, np.nan, -self.mean_d / self.mean_r)
            return np.where(beta >= 0, beta + 0.0, np.nan)

    def edges(self, reach: Float64) -> Float64:
        """(4, P): betas from 0 up, between which no answer changes; infinite where there are fewer."""
        a = self.mean_r**2 - reach**2 * self.var_r
        half_b = self.mean_d * self.mean_r - reach**2 * self.covariance
        c = self.mean_d**2 - reach**2 * self.var_d
        with np.errstate(divide="ignore", invalid="ignore"):
            q = -(half_b + np.copysign(np.sqrt(half_b**2 - a * c), half_b))
            found = np.stack([np.zeros_like(a), q / a, c / q, self.crossings()])
            found[1:][~(found[1:] > 0)] = np.inf
        return np.sort(found, axis=0)


def preferences(lines: BetaLines, reach: Float64) -> list[Preference]:
    """Of P pairs: an answer at each beta where the means are more than `reach` (P,) standard errors apart."""
    limited = np.where(np.isfinite(reach), reach, 0.0)
    edges = lines.edges(limited)
    ends = np.concatenate([edges[1:], np.full((1, edges.shape[1]), np.inf)])
    with np.errstate(invalid="ignore"):
        inside = np.where(np.isinf(ends), 2 * edges + 1, (edges + ends) / 2)
        at = lines.mean(inside)
        decided = np.isfinite(reach) & (at**2 > limited**2 * lines.variance(inside))
    signs = np.where(decided, np.sign(at), 0).astype(int).T.tolist()
    crossings, low, high = lines.crossings().tolist(), edges.T.tolist(), ends.T.tolist()
    return [
        Preference(_merged(*of), None if math.isnan(crossing) else crossing, far)
        for crossing, far, *of in zip(crossings, reach.tolist(), low, high, signs, strict=True)
    ]


_ANSWERS: dict[int, Answer] = {-1: "A", 0: "undecided", 1: "B"}


def _merged(low: list[float], high: list[float], signs: list[int]) -> tuple[Stretch, ...]:
    parts = [part for part in zip(low, high, signs, strict=True) if part[0] < part[1]]
    grouped = [(sign, list(of)) for sign, of in groupby(parts, key=lambda part: part[2])]
    return tuple(Stretch(of[0][0], of[-1][1], _ANSWERS[sign]) for sign, of in grouped)


def preference(
    rate: ArrayLike,
    distortion: ArrayLike,
    *,
    level: float = 0.95,
    method: Method = "t",
    simultaneous: bool = False,
) -> Preference:
    """Answers for per-example differences A - B of R and D, (N,) each.

    method: "t" or "sequential". level: of the answer at each beta. simultaneous: of all answers together, by
    Scheffe, at the price of power. There, and in a sequence, with room for skewness.
    """
    d = np.stack([np.asarray(rate, np.float64), np.asarray(distortion, np.float64)])
    if d.ndim != 2 or not d.size:
        raise ValueError(f"one difference of R and of D per example, got {np.shape(rate)}")
    n = d.shape[-1]
    mean, _ = moments(d)
    covariance = np.cov(d) / n if n > 1 else np.full((2, 2), np.nan)
    reach = critical(level, n, method, dimensions=2 if simultaneous else 1)
    if simultaneous or method == "sequential":
        reach = float(skewness.reach(reach, np.abs(skewness.skewness(np.stack([*d, d.sum(0)]))).max(), n))
    elements = (mean[0], mean[1], covariance[0, 0], covariance[1, 1], covariance[0, 1])
    (found,) = preferences(BetaLines(*(np.array([one]) for one in elements)), np.array([reach]))
    return found
