"""Intervals that hold at every sample size at once, so that one may look after each image and stop at will.

The asymptotic confidence sequence of I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas,
Time-uniform central limit theory and asymptotic confidence sequences, Annals of Statistics 52 (2024),
arXiv:2103.06476: Robbins' normal mixture with variance rho^2, with the variance of the examples estimated.
It assumes independent examples in random order (shuffle a sorted data set first) with finite variance, and
holds in the limit of many. The nats of an image have no bound, so nothing holds for any number of any law:
nothing is said before `START`, and every interval is wider by what skewness was seen
(`rdserve.compare.statistics.skewness`), infinite while it is too much. What no example has shown yet is not
seen: large differences on fewer than one example in a hundred can escape the first `START`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics import skewness as skew
from scipy.optimize import brentq

Float64 = NDArray[np.float64]

# With a difference of 20 deviations on one example in a hundred, 95% intervals from here on err in 5% of runs
# of 6000; from 200 on in 11%, as one run in eight has none of them among its first 200.
START = 300
# The rho^2 for which the 95% interval is at its narrowest around 500 examples, by the paper's approximation.
RHO2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 500
MOST = 1e12


def margin(n: ArrayLike, level: float = 0.95, dimensions: int = 1) -> Float64:
    """Half the interval's width after n examples, in standard deviations of one; infinite before START.

    Of values without skewness. dimensions: 2 for all weightings of two values of each example at once.
    """
    t = np.asarray(n, np.float64)
    spread = t * RHO2 + 1
    width = np.sqrt(2 * spread / (t**2 * RHO2) * (dimensions * np.log(spread) / 2 - math.log(1 - level)))
    return np.where(t < START, np.inf, width)


def p_value(statistic: ArrayLike, n: float) -> Float64:
    """The least 1 - level whose interval leaves out zero, for mean over standard error after n examples.

    Of values without skewness. May be read at any time; 1 before START, NaN for a NaN statistic.
    """
    z, spread = np.asarray(statistic, np.float64), n * RHO2 + 1
    if n < START:
        return np.where(np.isnan(z), np.nan, 1.0)
    p: Float64 = np.sqrt(spread) * np.exp(-(z**2) * n * RHO2 / (2 * spread))
    return np.asarray(np.minimum(p, 1.0))


def confidence_sequence(differences: ArrayLike, level: float = 0.95) -> tuple[Float64, Float64]:
    """Lower and upper ends after each of (..., N) examples, in the order given; infinite before START."""
    d = np.asarray(differences, np.float64)
    n = np.arange(1, d.shape[-1] + 1)
    moved = d - d[..., :1]  # so that powers do not cancel
    mean = moved.cumsum(-1) / n
    powers = [(moved**k).cumsum(-1) / n for k in (2, 3)]
    second = np.maximum(powers[0] - mean**2, 0.0)
    third = powers[1] - 3 * mean * powers[0] + 2 * mean**3
    error = np.sqrt(second / np.maximum(n - 1, 1))
    reach = np.full(d.shape, np.inf)
    late = np.s_[..., START - 1 :]
    far = skew.reach((margin(n, level) * n**0.5)[late], skew.of_moments(second, third)[late], n[late])
    reach[late] = np.where(error[late] == 0, 0.0, error[late] * far)
    return d[..., :1] + mean - reach, d[..., :1] + mean + reach


def more_needed(
    differences: ArrayLike, level: float = 0.95, dimensions: int = 1, n: float | None = None
) -> int | None:
    """How many more examples settle the sign of the mean of (N,) if their mean, deviation and skewness stay.

    None: no number would. dimensions: as of `margin`. n: how many independent ones the N are worth, if not N.
    """
    d = np.asarray(differences, np.float64)
    if d.size < 2:
        return None
    size = n or d.size
    mean, deviation = abs(float(d.mean())), float(d.std(ddof=1)) * math.sqrt(size / d.size)
    lean = skew.skewness(d) * math.sqrt(size / d.size)

    def short(n: float) -> float:
        """Nats by which the interval after n examples reaches beyond zero."""
        far = skew.reach(margin(n, level, dimensions) * math.sqrt(n), lean, n)
        return min(deviation * float(far) / math.sqrt(n) - mean, MOST)

    if short(MOST) >= 0:
        return None
    if size >= START and short(size) < 0:
        return 0
    now = max(size, START) + 0.5
    total = START
    if short(now) > 0:
        total = math.ceil(
            math.exp(brentq(lambda log_n: short(math.exp(log_n)), math.log(now), math.log(MOST)))
        )
    return max(1, math.ceil(total - size))
