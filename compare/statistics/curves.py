"""Curves in the rate-distortion plane, each through the points (R, D) of a sweep: how far apart, on average.

Points may come in any order; those that another one dominates are no part of the curve.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics.frontier import convex_hull, pareto
from scipy.interpolate import PchipInterpolator

Float64 = NDArray[np.float64]


class Excess(NamedTuple):
    """Area between a curve and the H line over rates low .. high, in nats^2, and its mean height, in nats."""

    area: float
    mean_nats: float
    low: float
    high: float


def excess_over_entropy(points: ArrayLike, entropy: float) -> Excess:
    """How far the curve through points (M, 2) lies above D = max(H - R, 0), the least any model can reach.

    Between points the curve is the lower convex hull: mixing two models reaches every point of it. One
    point has no area; its mean height is its own.

    entropy: H in nats, or the estimate of it from above that `frontier.entropy_bound` gives.
    """
    hull = convex_hull(np.asarray(points, np.float64))
    low, high = float(hull[0, 0]), float(hull[-1, 0])
    if low == high:
        return Excess(0.0, float(hull[0, 1] - max(entropy - low, 0.0)), low, high)
    # Both lines are straight between these rates.
    rates = np.union1d(hull[:, 0], np.clip(entropy, low, high))
    height = np.interp(rates, *hull.T) - np.maximum(entropy - rates, 0.0)
    area = float(np.trapezoid(height, rates))
    return Excess(area, area / (high - low), low, high)


def bd_rate_percent(a: ArrayLike, b: ArrayLike) -> float:
    """Bjontegaard's delta rate: how many percent more rate b needs than a, at equal distortion.

    a, b: (M, 2) points, two or more on each curve. The mean of the difference in log R over the distortions
    that both curves reach, each interpolated by PCHIP, as in the common test conditions of JCT-VC.
    Sources: G. Bjontegaard, VCEG-M33 (2001); JCTVC-L1100 (2013).

    Raises:
        ValueError: fewer than two points on a curve, no distortion in common, or a rate that is not above
            0, such as a collapsed model's: `bd_rate_nats` takes it.
    """
    first, second = _frontier(a), _frontier(b)
    for curve in (first, second):
        if (curve[:, 0] <= 0).any():
            raise ValueError(f"rates in percent need rates above 0 nats, got {curve[:, 0].min():g}")
    logs = [np.stack([np.log(curve[:, 0]), curve[:, 1]], 1) for curve in (first, second)]
    return 100 * float(np.expm1(_mean_gap(*logs)))


def bd_rate_nats(a: ArrayLike, b: ArrayLike) -> float:
    """How many nats more rate b needs than a at equal distortion: Bjontegaard's mean, without logarithm."""
    return _mean_gap(_frontier(a), _frontier(b))


def bd_distortion_nats(a: ArrayLike, b: ArrayLike) -> float:
    """How many nats more distortion b has than a at equal rate."""
    return _mean_gap(_frontier(a)[:, ::-1], _frontier(b)[:, ::-1])


def _frontier(points: ArrayLike) -> Float64:
    array = np.asarray(points, np.float64).reshape(-1, 2)
    curve = np.unique(array[pareto(array)], axis=0)
    if len(curve) < 2:
        raise ValueError(f"a curve needs two points that do not dominate one another, got {len(curve)}")
    return curve


def _mean_gap(a: Float64, b: Float64) -> float:
    """Mean of b - a in the first coordinate over the range of the second that both cover."""
    low, high = max(a[:, 1].min(), b[:, 1].min()), min(a[:, 1].max(), b[:, 1].max())
    if not low < high:
        raise ValueError("the curves have no range in common: nothing to compare at equal values")
    one, other = (_interpolated(curve).integrate(low, high) for curve in (a, b))
    return float((other - one) / (high - low))


def _interpolated(curve: Float64) -> PchipInterpolator:
    order = np.argsort(curve[:, 1])
    return PchipInterpolator(curve[order, 1], curve[order, 0])
