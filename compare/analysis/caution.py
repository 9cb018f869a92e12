"""What a reader must know of the images themselves: too few of them, or differences too skewed."""

import numpy as np
from rdserve.compare.analysis.pairs import pairs
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics.intervals import FEW
from rdserve.compare.statistics.sequential import START

# A sample skewness of this times sqrt(n) widens intervals that hold together by a quarter or more.
LEANING = 0.2


def cautions(comparison: Comparison) -> tuple[str, ...]:
    """Warnings for every output; none for many images with differences that are not very skewed."""
    found = []
    if comparison.n < FEW:
        images = f"{comparison.n} image{'s' if comparison.n > 1 else ''}"
        found.append(f"only {images}: below {FEW}, intervals and p-values are no more than a guess")
    if comparison.method == "sequential" and comparison.n < START:
        found.append(f"only {comparison.n} images: an interval that holds at any time begins at {START}")
    if comparison.n >= FEW and len(comparison.models) > 1:
        found += _skewed(comparison)
    return tuple(found)


def _skewed(comparison: Comparison) -> list[str]:
    every = pairs(comparison)
    lean = np.abs(every.contrasts.skewness).max(0)
    at = int(lean.argmax())
    if lean[at] <= LEANING * comparison.n**0.5:
        return []
    a, b = every.names(at)
    return [
        f"a few images make much of the difference of {a} and {b} (skewness {lean[at]:.1f} over "
        f"{comparison.n} images): intervals are wider for it, and more images may change them"
    ]
