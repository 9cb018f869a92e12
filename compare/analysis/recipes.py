"""Recipe against recipe: what differs between them over all their runs, not only over those that are here.

All intervals that hold together are right at once with probability `Recipes.level`: Bonferroni's correction
over pairs and over R, D, R + D and D + beta R. Few runs leave no room for every beta at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.analysis.contrasts import QUANTITIES, Contrasts, contrasts
from rdserve.compare.analysis.levels import level_of_recipes
from rdserve.compare.analysis.recipe_groups import Recipe, group
from rdserve.compare.analysis.run_moments import RunMoments, averaging, run_moments
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics import intervals, skewness
from rdserve.compare.statistics.intervals import Interval
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.runs import CrossedError, crossed_error, of_runs_alone
from rdserve.compare.statistics.summaries import Mean
from scipy import stats

Float64 = NDArray[np.float64]
_Four = tuple["RecipeDifference", "RecipeDifference", "RecipeDifference", "RecipeDifference"]


@dataclass(frozen=True)
class RecipeSummary:
    """A recipe's line: means over its runs and over n images, nats, each with its standard error over both.

    between_runs: standard deviations of R, D and R + D over runs, had there been all images. Errors and
    deviations are NaN for a single run.
    """

    recipe: Recipe
    rate: Mean
    distortion: Mean
    total: Mean
    weighted: Mean
    between_runs: tuple[float, float, float]


@dataclass(frozen=True)
class RecipeDifference:
    """Recipe a's mean minus b's, over runs and images, nats: negative where a is better.

    from_runs, from_images: the parts of the standard error. interval, p_value: by themselves, at the
    comparison's level; together: the interval that holds with all others. Where a recipe has one run there
    is no error, no p-value, and an interval is the whole line.
    """

    mean: float
    standard_error: float
    from_runs: float
    from_images: float
    degrees_of_freedom: float
    interval: Interval
    together: Interval
    p_value: float

    @property
    def sign(self) -> int:
        """-1 where a is surely lower and +1 where b is, right together with all others; else 0."""
        return self.together.sign

    @property
    def turned(self) -> "RecipeDifference":
        """The same difference, seen from b."""
        (low, high), (least, most) = self.interval, self.together
        return replace(
            self, mean=-self.mean, interval=Interval(-high, -low), together=Interval(-most, -least)
        )


@dataclass(frozen=True)
class RecipePair:
    """Recipe a against recipe b. adjusted_p: of `weighted`, by Holm over all pairs of recipes."""

    a: str
    b: str
    rate: RecipeDifference
    distortion: RecipeDifference
    total: RecipeDifference
    weighted: RecipeDifference
    adjusted_p: float

    @property
    def told(self) -> bool:
        """Whether both have runs enough for an interval."""
        return bool(np.isfinite(self.weighted.standard_error))

    @property
    def turned(self) -> "RecipePair":
        """The same pair, seen from b."""
        return replace(self, a=self.b, b=self.a, **{name: getattr(self, name).turned for name in QUANTITIES})


@dataclass(frozen=True)
class Recipes:
    """All recipes by rate, and every two of them, in the order of their first models."""

    rows: tuple[RecipeSummary, ...]
    pairs: tuple[RecipePair, ...]
    level: float

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.recipe.name for row in self.rows)

    @property
    def best(self) -> RecipeSummary:
        """Of the least mean D + beta R, of those with two runs or more where there are any."""
        told = [row for row in self.rows if row.recipe.runs > 1]
        return min(told or self.rows, key=lambda row: row.weighted.value)

    @property
    def single(self) -> tuple[str, ...]:
        """Recipes of one run: nothing is known of their others."""
        return tuple(row.recipe.name for row in self.rows if row.recipe.runs == 1)

    @property
    def told(self) -> tuple[RecipePair, ...]:
        """Pairs of recipes with two runs or more each."""
        return tuple(pair for pair in self.pairs if pair.told)

    def against(self, name: str) -> list[RecipePair]:
        """Each other recipe minus this one."""
        return [pair if pair.b == name else pair.turned for pair in self.pairs if name in (pair.a, pair.b)]

    def of(self, model: str) -> str:
        """The name of the recipe that a model is a run of."""
        return next(row.recipe.name for row in self.rows if model in row.recipe.models)


def compared(scored: ScoreSet) -> Recipes:
    """The recipes of the models that were scored."""
    found = group(scored.models)
    mix = averaging(scored, found)
    moments = run_moments(scored, mix)
    rows = [_row(one, at, moments) for at, one in enumerate(found)]
    rows.sort(key=lambda row: (row.rate.value, row.distortion.value))
    return Recipes(tuple(rows), tuple(_pairs(scored, found, mix, moments)), level_of_recipes(scored))


def _row(recipe: Recipe, at: int, of: RunMoments) -> RecipeSummary:
    errors = np.sqrt(of.between / of.runs + of.images**2)
    rate, distortion, total, weighted = map(Mean, of.mean[:, at].tolist(), errors[:, at].tolist())
    apart = of_runs_alone(of.between, of.interaction, of.n)[:, at].tolist()
    return RecipeSummary(recipe, rate, distortion, total, weighted, (apart[0], apart[1], apart[2]))


def _pairs(scored: ScoreSet, found: Sequence[Recipe], mix: Float64, moments: RunMoments) -> list[RecipePair]:
    a, b = np.array(list(combinations(range(len(found)), 2)), np.int64).reshape(-1, 2).T
    images = contrasts(scored, a, b, mix)
    error = crossed_error(
        moments.between[:, a],
        moments.runs[a],
        moments.between[:, b],
        moments.runs[b],
        images.error,
        images.worth,
    )
    columns = _Columns.of(scored, images, error)
    adjusted = holm(columns.p_value[QUANTITIES.index("weighted")]).tolist()
    return [
        RecipePair(found[a[at]].name, found[b[at]].name, *columns.differences(at), adjusted_p=adjusted[at])
        for at in range(len(a))
    ]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Of all pairs: (4, P) each."""

    images: Contrasts
    error: CrossedError
    alone: tuple[Float64, Float64]
    together: tuple[Float64, Float64]
    p_value: Float64

    @classmethod
    def of(cls, scored: ScoreSet, images: Contrasts, error: CrossedError) -> "_Columns":
        told = int(np.isfinite(error.both[0]).sum())
        claims = max(told, 1) * (len(QUANTITIES) - (scored.beta == 1))
        share = 1 - (1 - level_of_recipes(scored)) / claims
        freedom = error.degrees_of_freedom
        with np.errstate(divide="ignore", invalid="ignore"):
            # Of the images' part of the mean alone: of what so few runs are skewed nobody knows.
            lean = np.where(error.both > 0, images.skewness * (error.images / error.both) ** 3, 0.0)
            ratio = np.where((error.both == 0) & (images.mean == 0), 0.0, images.mean / error.both)
        far = skewness.reach(stats.t.ppf((1 + share) / 2, freedom), lean, images.units)
        return cls(
            images,
            error,
            intervals.ends(images.mean, error.both, stats.t.ppf((1 + scored.level) / 2, freedom)),
            intervals.ends(images.mean, error.both, far),
            2 * stats.t.sf(np.abs(ratio), freedom),
        )

    def differences(self, at: int) -> "_Four":
        """Of one pair: QUANTITIES."""
        rate, distortion, total, weighted = (self._one(which, at) for which in range(len(QUANTITIES)))
        return rate, distortion, total, weighted

    def _one(self, which: int, at: int) -> RecipeDifference:
        def one(of: Float64) -> float:
            return float(of[which, at])

        return RecipeDifference(
            mean=one(self.images.mean),
            standard_error=one(self.error.both),
            from_runs=one(self.error.runs),
            from_images=one(self.error.images),
            degrees_of_freedom=one(self.error.degrees_of_freedom),
            interval=Interval(*map(one, self.alone)),
            together=Interval(*map(one, self.together)),
            p_value=one(self.p_value),
        )
