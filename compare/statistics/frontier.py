"""Geometry of points in the rate-distortion plane: lower left is better. numpy only."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class Point(Protocol):
    """A place in the rate-distortion plane, nats per example."""

    @property
    def rate_nats(self) -> float: ...

    @property
    def distortion_nats(self) -> float: ...


def coordinates(points: Sequence[Point]) -> Float64:
    """(M, 2): rate and distortion of each point."""
    return np.array([[point.rate_nats, point.distortion_nats] for point in points]).reshape(-1, 2)


def pareto(points: Float64) -> NDArray[np.bool_]:
    """Which of points (M, 2) no other one dominates: none is at most as large in both and smaller in one."""
    at_most = (points[:, None] <= points[None]).all(-1)
    less = (points[:, None] < points[None]).any(-1)
    dominated = (at_most & less).any(axis=0)
    return np.asarray(~dominated, np.bool_)


def convex_hull(points: Float64) -> Float64:
    """Vertices (V, 2), by rate, of the lower-left convex hull: what minimises D + beta R for some beta >= 0.

    Mixing two models on the hull (sending some examples to one, some to the other) reaches any point
    between them.
    """
    hull: list[Float64] = []
    for point in np.unique(points[pareto(points)], axis=0):
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    return np.array(hull).reshape(-1, 2)


def _turn(a: Float64, b: Float64, c: Float64) -> float:
    """Positive where a -> b -> c turns left."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def entropy_bound(points: Float64) -> float:
    """The least R + D of points (M, 2): an estimate from above of the data's entropy H, nats per example."""
    return float(points.sum(1).min())
