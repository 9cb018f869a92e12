"""How the chance of an error is divided among all that is said of a comparison.

`1 - level` is the chance that anything is false of what verdict, tables and report call sure. By recipe, four
fifths of it are the recipes'. Of what is left, a fifth is that of the classes, where there are any; the rest
is that of the regions of all pairs of models (`rdserve.compare.analysis.pairs`), off which all else is read.
"""

import numpy as np
from rdserve.compare.analysis.recipe_groups import group
from rdserve.compare.scores import ScoreSet

OF_CLASSES = 0.2
OF_RECIPES = 0.8


def has_classes(scored: ScoreSet) -> bool:
    """Whether anything is said class by class: two models or more, and images of two classes or more."""
    labels = scored.labels
    return labels is not None and len(scored.models) > 1 and bool(np.ptp(labels))


def has_recipes(scored: ScoreSet) -> bool:
    """Whether anything is said recipe by recipe: two or more of two runs or more."""
    return scored.by == "recipe" and sum(recipe.runs > 1 for recipe in group(scored.models)) > 1


def level_of_recipes(scored: ScoreSet) -> float:
    """Of all intervals of recipes at once."""
    return 1 - (1 - scored.level) * OF_RECIPES


def level_of_pairs(scored: ScoreSet) -> float:
    """Of the regions of all pairs at once."""
    return 1 - _of_models(scored) * (1 - OF_CLASSES if has_classes(scored) else 1.0)


def level_of_classes(scored: ScoreSet) -> float:
    """Of all that is sure of any model in any class."""
    return 1 - _of_models(scored) * OF_CLASSES


def _of_models(scored: ScoreSet) -> float:
    return (1 - scored.level) * (1 - OF_RECIPES if has_recipes(scored) else 1.0)
