"""For which beta one model is better than another.

D + beta R is linear in beta, so the difference of two models, dD + beta dR, changes sign once at most: at
the crossing -dD / dR. Where it surely has one sign is where (dD + beta dR)^2 exceeds the squared critical
value times its variance, a quadratic in beta: E. C. Fieller, Some problems in interval estimation, J. R.
Statistical Society B 16 (1954).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.intervals import Method, critical
from scipy import stats

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

    level: of the answer at each beta; with `simultaneous`, of all answers together.
    """

    stretches: tuple[Stretch, ...]
    crossing: float | None
    level: float
    simultaneous: bool

    def at(self, beta: float) -> Answer:
        """The answer at one beta >= 0; on an edge, the more cautious one."""
        answers = {s.answer for s in self.stretches if s.low <= beta <= s.high}
        return answers.pop() if len(answers) == 1 else "undecided"

    def where(self, answer: Answer) -> list[tuple[float, float]]:
        """The ranges of beta with this answer."""
        return [(s.low, s.high) for s in self.stretches if s.answer == answer]


@dataclass(frozen=True)
class _Line:
    """Mean and variance of dD + beta dR as functions of beta."""

    mean_r: float
    mean_d: float
    var_r: float
    var_d: float
    cov: float

    def mean(self, beta: float) -> float:
        return self.mean_d + beta * self.mean_r

    def excess(self, beta: float, squared: float) -> float:
        """Positive where the sign of the mean is decided at critical value squared."""
        variance = self.var_d + 2 * beta * self.cov + beta**2 * self.var_r
        return self.mean(beta) ** 2 - squared * variance

    def edges(self, squared: float) -> list[float]:
        """Betas > 0, in order, between which the answer does not change."""
        a = self.mean_r**2 - squared * self.var_r
        b = 2 * (self.mean_d * self.mean_r - squared * self.cov)
        c = self.mean_d**2 - squared * self.var_d
        # Rounding may lift a double root off the real line; there the answer does not change.
        roots = [float(root.real) for root in np.roots([a, b, c]) if abs(root.imag) <= 1e-9 * abs(root)]
        return sorted({root for root in (*roots, self.crossing() or 0.0) if root > 0})

    def crossing(self) -> float | None:
        """The beta >= 0 at which the mean is zero, or None."""
        beta = -self.mean_d / self.mean_r if self.mean_r else -1.0
        return beta if beta >= 0 else None


def preference(
    rate: ArrayLike,
    distortion: ArrayLike,
    *,
    level: float = 0.95,
    method: Method = "t",
    simultaneous: bool = False,
) -> Preference:
    """Answers for per-example differences A - B of R and D, (N,) each.

    method: "t" or "sequential". simultaneous: let all answers hold together with probability `level`
    (Scheffe, by t), at the price of power.
    """
    line = _line(np.asarray(rate, np.float64), np.asarray(distortion, np.float64))
    n = np.size(rate)
    squared = _scheffe(level, n) if simultaneous else critical(level, n, method) ** 2
    if not math.isfinite(squared):
        return Preference((Stretch(0.0, math.inf, "undecided"),), line.crossing(), level, simultaneous)
    bounds = [0.0, *line.edges(squared), math.inf]
    stretches = [
        Stretch(low, high, _answer(line, _inside(low, high), squared)) for low, high in pairwise(bounds)
    ]
    return Preference(tuple(_merged(stretches)), line.crossing(), level, simultaneous)


def _line(rate: Float64, distortion: Float64) -> _Line:
    n = rate.size
    if rate.shape != distortion.shape or rate.ndim != 1 or not n:
        raise ValueError(f"one difference of R and of D per example, got {rate.shape}, {distortion.shape}")
    covariance = np.cov(rate, distortion) / n if n > 1 else np.full((2, 2), np.nan)
    (var_r, cov), (_, var_d) = covariance.tolist()
    return _Line(float(rate.mean()), float(distortion.mean()), var_r, var_d, cov)


def _scheffe(level: float, n: int) -> float:
    """Hotelling's critical value for a mean of two variables: no t^2 of a weighting of them exceeds it."""
    return float(2 * (n - 1) / (n - 2) * stats.f.ppf(level, 2, n - 2)) if n > 2 else math.nan


def _inside(low: float, high: float) -> float:
    return (low + high) / 2 if math.isfinite(high) else 2 * low + 1


def _answer(line: _Line, beta: float, squared: float) -> Answer:
    if line.excess(beta, squared) <= 0:
        return "undecided"
    return "A" if line.mean(beta) < 0 else "B"


def _merged(stretches: list[Stretch]) -> list[Stretch]:
    merged = stretches[:1]
    for stretch in stretches[1:]:
        if stretch.answer == merged[-1].answer:
            merged[-1] = Stretch(merged[-1].low, stretch.high, stretch.answer)
        else:
            merged.append(stretch)
    return merged
