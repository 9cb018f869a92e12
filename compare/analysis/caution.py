"""What a reader must know of the images themselves: too few of them, or differences too skewed."""

import numpy as np
from rdserve.compare.analysis.levels import has_recipes
from rdserve.compare.analysis.pairs import Pairs
from rdserve.compare.analysis.recipe_groups import group
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.intervals import FEW
from rdserve.compare.statistics.runs import FEW_RUNS
from rdserve.compare.statistics.sequential import START

# A sample skewness of this times sqrt(n) widens intervals that hold together by a quarter or more.
LEANING = 0.2


def cautions(scored: ScoreSet, pairs: Pairs) -> tuple[str, ...]:
    """Warnings for every output; none for many images with differences that are not very skewed.

    pairs: all of them.
    """
    found = []
    if scored.n < FEW:
        images = f"{scored.n} image{'s' if scored.n > 1 else ''}"
        found.append(f"only {images}: below {FEW}, intervals and p-values are no more than a guess")
    elif scored.n_independent < FEW:
        found.append(_few_groups(scored))
    if scored.method == "sequential" and scored.n_independent < START:
        what = "images" if scored.n_groups is None else "groups"
        seen = scored.n_groups or scored.n
        found.append(f"only {seen} {what}: an interval that holds at any time begins at {START}")
    if scored.n_independent >= FEW and pairs:
        found += _skewed(pairs)
    if scored.by == "recipe":
        found += _few_runs(scored)
    return tuple(found)


def _few_groups(scored: ScoreSet) -> str:
    count, worth = scored.n_groups, scored.n_independent
    groups = f"{count} group{'s' if count != 1 else ''}"
    if count is not None and worth < count - 1:
        groups += f", of sizes so unequal that they are worth {worth:.0f},"
    return f"only {groups} of images: below {FEW}, intervals and p-values are no more than a guess"


def _few_runs(scored: ScoreSet) -> list[str]:
    if not has_recipes(scored):
        return ["no two recipes have two runs or more: nothing is told of recipes, only of these checkpoints"]
    few = [recipe.name for recipe in group(scored.models) if 1 < recipe.runs < FEW_RUNS]
    if not few:
        return []
    return [
        f"{', '.join(few)}: {FEW_RUNS - 1} runs alone, so that how much its runs differ is no more than a "
        f"guess, and intervals may err more often than said; train {FEW_RUNS} or more"
    ]


def _skewed(pairs: Pairs) -> list[str]:
    n, lean = pairs.contrasts.units, np.abs(pairs.contrasts.skewness).max(0)
    what = "images" if pairs.scored.n_groups is None else "groups"
    at = int(lean.argmax())
    if lean[at] <= LEANING * n**0.5:
        return []
    a, b = pairs.names(at)
    return [
        f"a few {what} make much of the difference of {a} and {b} (skewness {lean[at]:.1f} over "
        f"{n} {what}): intervals are wider for it, and more {what} may change them"
    ]
