"""Differences of two models, example by example. What is hard for one model is hard for the other: a paired
difference leaves that out, and with shared noise most of the sampling noise too. Nats; smaller is better.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics import intervals
from rdserve.compare.statistics.groups import by_group, independent
from rdserve.compare.statistics.intervals import Interval, Method
from rdserve.compare.statistics.summaries import moments

if TYPE_CHECKING:
    from rdserve.client.results import Score

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A's mean minus B's over n examples: negative where A is better.

    interval: of the mean, at `level`. p_value: of "no difference", two-sided.
    wins, ties, losses: examples on which A is lower than B, equal, or higher.
    With one example the error and the p-value are NaN, and the interval is the whole line.
    """

    mean: float
    standard_error: float
    interval: Interval
    p_value: float
    level: float
    n: int
    wins: int
    ties: int
    losses: int

    @property
    def sign(self) -> int:
        """-1 where A is lower and +1 where B is, at `level`; 0 where that is not decided."""
        return self.interval.sign

    def reaching(self, standard_errors: float) -> "Difference":
        """With an interval of so many standard errors to either side; the whole line for infinitely many."""
        low, high = intervals.ends(self.mean, self.standard_error, standard_errors)
        return replace(self, interval=Interval(float(low), float(high)))

    @property
    def turned(self) -> "Difference":
        """The same difference, seen from b."""
        low, high = self.interval
        return replace(
            self, mean=-self.mean, interval=Interval(-high, -low), wins=self.losses, losses=self.wins
        )


def weighted(score: "Score", beta: float) -> Float64:
    """D + beta R of each example, (N,)."""
    return np.asarray(score.distortion_nats + beta * score.rate_nats, np.float64)


def difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    method: Method = "t",
    groups: NDArray[Any] | None = None,
) -> Difference:
    """Compare per-example values a and b, (N,) each, of the same examples in the same order.

    method: of the interval and the p-value (`rdserve.compare.statistics.intervals`). groups: (N,) ids of
    examples that depend on one another (`rdserve.compare.statistics.groups`).

    Raises:
        ValueError: not two (N,) arrays of one length, N > 0; a difference that is not a number.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f"paired values have one shape (N,), N > 0; got {first.shape} and {second.shape}")
    d = first - second
    if len(bad := np.flatnonzero(np.isnan(d))):
        raise ValueError(f"{first[bad[0]]} minus {second[bad[0]]} in row {bad[0]}: a difference is a number")
    units, n = by_group(d, groups), independent(d.size, groups)
    mean, error = moments(units)
    wins, losses = int((d < 0).sum()), int((d > 0).sum())
    return Difference(
        mean=float(mean),
        standard_error=float(error),
        interval=intervals.interval(units, level, method, n),
        p_value=float(intervals.p_differs(units, method, n=n)),
        level=level,
        n=d.size,
        wins=wins,
        ties=d.size - wins - losses,
        losses=losses,
    )


def per_class(
    a: ArrayLike,
    b: ArrayLike,
    labels: ArrayLike,
    *,
    level: float = 0.95,
    method: Method = "t",
    groups: NDArray[Any] | None = None,
) -> dict[int, Difference]:
    """The difference within each class of labels (N,), each by itself."""
    first, second, of = np.asarray(a, np.float64), np.asarray(b, np.float64), np.asarray(labels)
    if of.shape != first.shape:
        raise ValueError(f"one label per example: {first.shape} values, {of.shape} labels")
    found = {}
    for label in np.unique(of):
        rows = of == label
        within = None if groups is None else groups[rows]
        found[int(label)] = difference(first[rows], second[rows], level=level, method=method, groups=within)
    return found
