"""Every two models of a comparison: what differs, how surely, and for which beta.

Regions of all pairs hold at once: with probability `level` every pair's true difference in R, in D and in any
weighting D + beta R lies within `Pair.reach` standard errors of what is seen (Scheffe's method, with
Bonferroni's correction over the pairs). So intervals, signs and ranges of beta that are read off them are all
right together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.analysis.contrasts import QUANTITIES, Contrasts, contrasts
from rdserve.compare.analysis.levels import level_of_pairs
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics import intervals, sequential, skewness
from rdserve.compare.statistics.bound_gap import identified, tightness
from rdserve.compare.statistics.intervals import Interval, critical
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.preference import BetaLines, Preference, preferences
from scipy import stats

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """Model a against model b on the same examples under the same noise; negative differences favour a.

    total: of R + D, the negative ELBO. weighted: of D + beta R at the comparison's beta. The interval of each
    of the four is at the comparison's level by itself.
    preference, reach: hold together for all the pairs, and all beta, that they were computed with.
    adjusted_p: of `total` among all these pairs, by Holm.
    identified: whether the difference in ELBO exceeds the gap of the bounds; None for one sample.
    """

    a: str
    b: str
    rate: Difference
    distortion: Difference
    total: Difference
    weighted: Difference
    preference: Preference
    reach: float
    adjusted_p: float
    identified: bool | None

    def together(self, found: Difference) -> Difference:
        """One of the four differences with the interval that holds together with all others."""
        return found.reaching(self.reach)

    @property
    def turned(self) -> "Pair":
        """The same pair, seen from b."""
        quantities = {name: getattr(self, name).turned for name in QUANTITIES}
        return replace(self, a=self.b, b=self.a, preference=self.preference.turned, **quantities)


@dataclass(frozen=True, eq=False)
class Pairs(Sequence[Pair]):
    """P pairs as arrays; a `Pair` is made when it is asked for. level: of all regions at once."""

    scored: ScoreSet
    contrasts: Contrasts
    level: float

    @cached_property
    def reach(self) -> Float64:
        """(P,): standard errors within which all differences of all pairs lie at once.

        As skewed as the most skewed of a pair's four differences needs.
        """
        share = 1 - (1 - self.level) / max(len(self), 1)
        of = self.contrasts
        far = critical(share, of.worth, self.scored.method, dimensions=2)
        return skewness.reach(far, np.abs(of.skewness).max(0), of.units)

    @cached_property
    def p_values(self) -> Float64:
        """(4, P): two-sided, of no difference, each by itself."""
        of, statistic = self.contrasts, self.contrasts.statistic
        if self.scored.method == "sequential":
            return sequential.p_value(skewness.reduced(statistic, of.skewness, of.units), of.worth)
        return np.asarray(2 * stats.t.sf(np.abs(statistic), of.worth - 1), np.float64)

    @cached_property
    def adjusted_p(self) -> Float64:
        """(P,): of R + D, by Holm over these pairs."""
        return holm(self.p_values[QUANTITIES.index("total")])

    @cached_property
    def adjusted_weighted_p(self) -> Float64:
        """(P,): of D + beta R, by Holm over these pairs."""
        return holm(self.p_values[QUANTITIES.index("weighted")])

    @cached_property
    def signs(self) -> Int64:
        """(4, P): -1 where a is surely lower and +1 where b is, all right together; else 0."""
        low, high = intervals.ends(self.contrasts.mean, self.contrasts.error, self.reach)
        return (low > 0).astype(np.int64) - (high < 0)

    @cached_property
    def intervals(self) -> tuple[Float64, Float64]:
        """(4, P) each: lower and upper ends, each by itself."""
        of = self.contrasts
        far: Any = critical(self.scored.level, of.worth, self.scored.method)
        if self.scored.method == "sequential":
            far = skewness.reach(far, of.skewness, of.units)
        return intervals.ends(of.mean, of.error, far)

    @cached_property
    def preferences(self) -> list[Preference]:
        """All ranges of beta hold together."""
        of = self.contrasts
        variances = of.error[:2] ** 2
        lines = BetaLines(of.mean[0], of.mean[1], variances[0], variances[1], of.covariance)
        return preferences(lines, self.reach)

    @cached_property
    def identified(self) -> list[bool | None]:
        """As of `Pair`."""
        scored, of = self.scored, self.contrasts
        gaps = [tightness(score, scored.n_samples) for score in scored.scores]
        total = of.mean[QUANTITIES.index("total")].tolist()
        return [identified(d, gaps[a], gaps[b]) for d, a, b in zip(total, of.a, of.b, strict=True)]

    def names(self, at: int) -> tuple[str, str]:
        """Of the models of one pair."""
        every = self.scored.names
        return every[self.contrasts.a[at]], every[self.contrasts.b[at]]

    def against(self, name: str) -> list[Pair]:
        """Each other model minus this one, of the pairs that it is in."""
        at, of = self.scored.names.index(name), self.contrasts
        return [
            self[i] if of.b[i] == at else self[i].turned
            for i in np.flatnonzero((of.a == at) | (of.b == at)).tolist()
        ]

    def difference(self, which: int, at: int) -> Difference:
        """One of the four quantities of one pair."""
        of, (low, high) = self.contrasts, self.intervals
        wins, losses = int(of.wins[which, at]), int(of.losses[which, at])
        return Difference(
            mean=float(of.mean[which, at]),
            standard_error=float(of.error[which, at]),
            interval=Interval(float(low[which, at]), float(high[which, at])),
            p_value=float(self.p_values[which, at]),
            level=self.scored.level,
            n=of.n,
            wins=wins,
            ties=of.n - wins - losses,
            losses=losses,
        )

    def __len__(self) -> int:
        return len(self.contrasts.a)

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, at: int | slice) -> Pair | tuple[Pair, ...]:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        a, b = self.names(range(len(self))[at])
        rate, distortion, total, weighted = (self.difference(which, at) for which in range(len(QUANTITIES)))
        return Pair(
            a=a,
            b=b,
            rate=rate,
            distortion=distortion,
            total=total,
            weighted=weighted,
            preference=self.preferences[at],
            reach=float(self.reach[at]),
            adjusted_p=float(self.adjusted_p[at]),
            identified=self.identified[at],
        )


def pairs(scored: ScoreSet, *, baseline: str | None = None) -> Pairs:
    """All pairs (a, b), a before b in the comparison's order; with a baseline, every other model against it.

    Raises:
        InputError: a baseline that was not scored.
    """
    return _of(scored, _chosen(scored, baseline))


def _chosen(scored: ScoreSet, baseline: str | None) -> list[tuple[int, int]]:
    models = range(len(scored.models))
    if baseline is None:
        return list(combinations(models, 2))
    scored.score(baseline)
    at = scored.names.index(baseline)
    return [(other, at) for other in models if other != at]


def _of(scored: ScoreSet, chosen: Sequence[tuple[int, int]]) -> Pairs:
    a, b = np.array(chosen, np.int64).reshape(-1, 2).T
    return Pairs(scored, contrasts(scored, a, b), level_of_pairs(scored))
