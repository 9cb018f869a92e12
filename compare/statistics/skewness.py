"""What skewness does to a mean over its standard error, and how much farther to reach for it.

Where the mean of a skewed law falls on the wrong side of the truth, its estimated error is small too, so that
their ratio exceeds Student's quantile more often than said. To first order in 1 / sqrt(N) the statistic
t + skewness / (6 sqrt(N)) (1 + 2 t^2) has no skewness left: N. J. Johnson, Modified t tests and confidence
intervals for asymmetrical populations, J. American Statistical Association 73 (1978). Both sides reach as far
as the side in danger, so that an interval only ever gets wider.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


def skewness(d: Float64) -> Float64:
    """Third standardized moment over the last axis of (..., N); 0 where all values are equal."""
    centred = d - d.mean(-1, keepdims=True)
    squares = centred * centred
    return of_moments(squares.mean(-1), (squares * centred).mean(-1))


def of_moments(second: ArrayLike, third: ArrayLike) -> Float64:
    """The same from the central moments; 0 where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(third, np.float64) / np.asarray(second, np.float64) ** 1.5
    return np.where(np.asarray(second) == 0, 0.0, found)


def reach(critical: ArrayLike, skewness: ArrayLike, n: ArrayLike) -> Float64:
    """Standard errors to reach in place of the critical value for a law without skewness.

    Infinite where so few values of so skewed a law bound nothing at this order.
    """
    c, lean = np.asarray(critical, np.float64), _lean(skewness, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = 1 - 8 * lean * (c + lean)
        # The root of t - lean (1 + 2 t^2) = c, without cancellation.
        found = 2 * (c + lean) / (1 + np.sqrt(inside))
    return np.where(inside >= 0, found, np.where(np.isnan(c), c, np.inf))


def reduced(statistic: ArrayLike, skewness: ArrayLike, n: ArrayLike) -> Float64:
    """The statistic whose plain critical value `statistic` just reaches: `reach` inverted, at least 0."""
    size, lean = np.abs(np.asarray(statistic, np.float64)), _lean(skewness, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.minimum(size, 1 / (4 * lean))
        found = np.maximum(most - lean * (1 + 2 * most**2), 0.0)
    return np.where(lean == 0, size, found)


def _lean(skewness: ArrayLike, n: ArrayLike) -> Float64:
    return np.asarray(np.abs(skewness) / (6 * np.sqrt(n)), np.float64)
