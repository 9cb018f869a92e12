"""Differences of two recipes from a few runs of each, where runs and images are both drawn at random.

All runs score the same images, so the two are crossed: what an image does to every run of a recipe is no
evidence on other images, what a run does on every image none on other runs. The difference of the means over
runs and images has the variance

    s_a^2 / k_a + s_b^2 / k_b + s_z^2 / n,

s^2 of the k means of a recipe's runs, s_z^2 of the n differences image by image, each averaged over the runs
(C. M. Judd, J. Westfall and D. A. Kenny, J. Personality and Social Psychology 103, 2012; S. L. Hillis,
Statistics in Medicine 26, 2007). What a run does on one image is in both, and so counted twice: its share is
small where there are many images, and with it taken off the sum would be too small as often as too large.

Degrees of freedom are Welch's and Satterthwaite's (B. L. Welch, Biometrika 34, 1947). Seen variances of few
runs vary by themselves, so that those of the runs are at most what they would be were the two recipes as
variable (R. M. Bell and D. F. McCaffrey, Survey Methodology 28, 2002).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
# Of a recipe; with fewer an interval hangs on a variance that nearly nothing is known of.
FEW_RUNS = 3


class CrossedError(NamedTuple):
    """Standard errors of a mean difference: from runs and from images, and both; degrees of freedom.

    NaN where a recipe has one run.
    """

    runs: Float64
    images: Float64
    both: Float64
    degrees_of_freedom: Float64


def crossed_error(
    between_a: ArrayLike,
    runs_a: ArrayLike,
    between_b: ArrayLike,
    runs_b: ArrayLike,
    images: ArrayLike,
    n: float,
) -> CrossedError:
    """Of differences a - b, arrays of one shape.

    between_a, between_b: variances of the means of each recipe's runs, nats^2, NaN of a single run; runs_a,
    runs_b: how many. images: standard error of the difference over n independent images, runs averaged, nats.
    """
    k = [np.asarray(runs, np.float64) for runs in (runs_a, runs_b)]
    parts = [np.asarray(v, np.float64) / of for v, of in zip((between_a, between_b), k, strict=True)]
    squared = np.asarray(images, np.float64) ** 2
    runs = parts[0] + parts[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = runs**2 / (parts[0] ** 2 / (k[0] - 1) + parts[1] ** 2 / (k[1] - 1))
        alike = (1 / k[0] + 1 / k[1]) ** 2 / (1 / (k[0] ** 2 * (k[0] - 1)) + 1 / (k[1] ** 2 * (k[1] - 1)))
        # No variance between runs at all, such as of models that ignore their code: 0 / 0.
        of_runs = np.fmin(seen, alike)
        total = (runs + squared) ** 2 / (runs**2 / of_runs + squared**2 / max(n - 1, 1))
    freedom = np.where(runs + squared == 0, of_runs, total)
    return CrossedError(np.sqrt(runs), np.sqrt(squared), np.sqrt(runs + squared), freedom)


def of_runs_alone(between: ArrayLike, interaction: ArrayLike, n: int) -> Float64:
    """Standard deviation between runs over all images there are: the seen one without what n images add.

    between: variance of the runs' means over these images; interaction: mean square of run by image. nats^2.
    """
    return np.sqrt(np.maximum(np.asarray(between, np.float64) - np.asarray(interaction, np.float64) / n, 0.0))
