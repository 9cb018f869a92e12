"""Which models are dominated beyond doubt: some other one has both a lower rate and a lower distortion."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.results import Score
from rdserve.compare.intervals import Method, p_below
from rdserve.compare.multiplicity import holm

Float64 = NDArray[np.float64]


def p_dominates(
    rate: ArrayLike, distortion: ArrayLike, *, tolerance: float = 0.0, method: Method = "t"
) -> float:
    """p-value of "A does not dominate B", from per-example differences A - B of R and D, (N,) each.

    An intersection-union test: both means must be surely below `tolerance` nats, so the larger of the two
    one-sided p-values holds without correction. Source: R. L. Berger, Technometrics 24 (1982).

    tolerance: with 0, A must be lower in both; above it, A may also be that much worse in one or both.
    """
    return max(float(p_below(np.asarray(d, np.float64), tolerance, method)) for d in (rate, distortion))


def dominated(scores: Sequence[Score], *, level: float = 0.95, method: Method = "t") -> list[int | None]:
    """For each of M models the index of the one that dominates it most surely, None where none surely does.

    All M answers are right together with probability `level`: Holm over all ordered pairs.
    """
    count = len(scores)
    p = np.full((count, count), np.nan)
    for winner in range(count):
        for loser in range(count):
            if winner != loser:
                p[winner, loser] = _p(scores[winner], scores[loser], method)
    adjusted = np.where(np.isnan(p), np.inf, holm(p.ravel()).reshape(p.shape))
    best = adjusted.argmin(axis=0)
    return [int(best[j]) if adjusted[best[j], j] < 1 - level else None for j in range(count)]


def _p(a: Score, b: Score, method: Method) -> float:
    rate, distortion = a.rate_nats - b.rate_nats, a.distortion_nats - b.distortion_nats
    return p_dominates(rate, distortion, method=method)
