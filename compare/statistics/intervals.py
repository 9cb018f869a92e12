"""Where a mean over examples lies: intervals and tests from per-example values. Pure functions.

Two methods. "t": Student's, for a number of examples fixed beforehand; good from some 30. "sequential":
holds at all numbers of examples at once, so that one may stop on what one sees
(`rdserve.compare.statistics.sequential`), and makes up for skewness.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics import sequential
from rdserve.compare.statistics import skewness as skew
from rdserve.compare.statistics.summaries import moments
from scipy import stats

Float64 = NDArray[np.float64]
Method = Literal["t", "sequential"]
# Below so many examples the laws that these intervals assume are a guess.
FEW = 30


class Interval(NamedTuple):
    low: float
    high: float

    @property
    def sign(self) -> int:
        """-1 where all of it is below zero, +1 where all is above, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def critical(level: float, n: float, method: Method = "t", dimensions: int = 1) -> float:
    """How many standard errors the interval reaches to either side of the mean of n independent examples.

    dimensions: 2 where all weightings of two values of each example shall hold at once: Hotelling's
    quantile, which no t of a weighting of two means exceeds (Scheffe). Infinite where n is too small.
    """
    if n < 2:
        return math.nan
    if method == "sequential":
        return float(sequential.margin(n, level, dimensions) * n**0.5)
    if dimensions == 1:
        return float(stats.t.ppf((1 + level) / 2, n - 1))
    # 2 (n - 1) / (n - 2) times the quantile of F with 2 and n - 2 degrees of freedom, in closed form.
    return math.sqrt((n - 1) * math.expm1(-2 * math.log1p(-level) / (n - 2))) if n > 2 else math.inf


def limits(d: Float64, level: float, method: Method = "t", n: float | None = None) -> tuple[Float64, Float64]:
    """Lower and upper ends for the mean of (..., N) over the last axis.

    n: how many independent ones the N are worth, where they are groups of unequal size; here and below.
    """
    mean, error = moments(d)
    reach: ArrayLike = critical(level, n or d.shape[-1], method)
    if method == "sequential":
        reach = skew.reach(reach, skew.skewness(d), d.shape[-1])
    return ends(mean, error, reach)


def ends(mean: ArrayLike, error: ArrayLike, reach: ArrayLike) -> tuple[Float64, Float64]:
    """Of means that reach so many standard errors; the whole line where there is no error or no limit."""
    centre = np.asarray(mean, np.float64)
    with np.errstate(invalid="ignore"):  # no error at all, and no limit yet
        half = np.nan_to_num(np.asarray(reach) * np.asarray(error), nan=np.inf, posinf=np.inf)
    return centre - half, centre + half


def interval(d: Float64, level: float, method: Method = "t", n: float | None = None) -> Interval:
    """For the mean of d (N,); the whole line where the examples are too few."""
    low, high = limits(d, level, method, n)
    return Interval(float(low), float(high))


def p_differs(d: Float64, method: Method = "t", *, skewed: bool = False, n: float | None = None) -> Float64:
    """Two-sided p-value of mean zero over the last axis of (..., N).

    skewed: make up for skewness, as "sequential" always does.
    """
    statistic, count = _statistic(d, 0.0), d.shape[-1]
    if method == "sequential":
        return _sequential(d, statistic, n)
    size = skew.reduced(statistic, skew.skewness(d), count) if skewed else np.abs(statistic)
    return np.asarray(2 * stats.t.sf(size, (n or count) - 1), np.float64)


def p_below(d: Float64, limit: float, method: Method = "t", n: float | None = None) -> Float64:
    """One-sided, over the last axis of (..., N): small where the mean is surely below `limit`."""
    statistic = _statistic(d, limit)
    if method == "sequential":
        return np.where(statistic < 0, _sequential(d, statistic, n), 1.0)
    return np.asarray(stats.t.cdf(statistic, (n or d.shape[-1]) - 1), np.float64)


def _sequential(d: Float64, statistic: Float64, n: float | None) -> Float64:
    count = d.shape[-1]
    return sequential.p_value(skew.reduced(statistic, skew.skewness(d), count), n or count)


def _statistic(d: Float64, at: float) -> Float64:
    """(mean - at) / error; where all values are equal: 0 on the spot, infinite off it."""
    mean, error = moments(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (mean - at) / error
    return np.where((error == 0) & (mean == at), 0.0, ratio)
