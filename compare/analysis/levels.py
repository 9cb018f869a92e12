"""How the chance of an error is divided among all that is said of a comparison.

`1 - level` is the chance that anything is false of what verdict, tables and report call sure. Where there are
classes, a fifth of it is theirs; the rest is that of the regions of all pairs
(`rdserve.compare.analysis.pairs`), off which all else is read.
"""

import numpy as np
from rdserve.compare.scores import ScoreSet

OF_CLASSES = 0.2


def has_classes(scored: ScoreSet) -> bool:
    """Whether anything is said class by class: two models or more, and images of two classes or more."""
    labels = scored.labels
    return labels is not None and len(scored.models) > 1 and bool(np.ptp(labels))


def level_of_pairs(scored: ScoreSet) -> float:
    """Of the regions of all pairs at once."""
    return 1 - (1 - scored.level) * (1 - OF_CLASSES if has_classes(scored) else 1.0)


def level_of_classes(scored: ScoreSet) -> float:
    """Of all that is sure of any model in any class."""
    return 1 - (1 - scored.level) * OF_CLASSES
