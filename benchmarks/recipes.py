"""How often a recipe is called better than one that is its equal: what docs/statistics.md quotes.

    python -m benchmarks.recipes [--runs 2000]

A Markdown table on stdout: percent of simulated comparisons in which the 95% interval of D + beta R, by
itself, leaves out the truth; in which any of R, D and D + beta R is called sure; and in which images alone,
the runs that there are taken for the recipes, call any sure.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.analysis.contrasts import contrasts
from rdserve.compare.analysis.recipe_groups import group
from rdserve.compare.analysis.recipes import compared
from rdserve.compare.analysis.run_moments import averaging
from rdserve.compare.statistics.intervals import critical

from benchmarks.made import made_by_recipe
from benchmarks.markdown import table

Float64 = NDArray[np.float64]
IMAGES = 200
# Standard deviations, nats: between runs of the two recipes; of the recipes' difference from image to image;
# of what a run does on one image.
SPREADS = {
    "runs more than images": ((0.2, 0.2), 1.0, 1.0),
    "both alike": ((0.05, 0.05), 1.0, 0.5),
    "images more than runs": ((0.01, 0.01), 1.0, 0.5),
    "no difference between runs": ((0.0, 0.0), 0.0, 1.0),
    "one recipe ten times as variable": ((0.2, 0.02), 1.0, 1.0),
}
RUNS = ((2, 2), (3, 3), (5, 5), (2, 6), (3, 10))


@dataclass(frozen=True)
class FalseRecipes:
    """Percent of comparisons of two recipes, equal in truth, with so many runs."""

    runs: str
    spread: str
    alone: float
    anything: float
    images_alone: float


def main() -> None:
    """All spreads and numbers of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    print(f"% of {given.runs} comparisons on {IMAGES} images\n")
    table(list(shares(given.runs)))


def shares(count: int) -> Iterator[FalseRecipes]:
    """Every case."""
    for runs in RUNS:
        for name, spread in SPREADS.items():
            rng = np.random.default_rng(list(runs))
            wrong = np.array([_wrong(_drawn(rng, runs, *spread), runs) for _ in range(count)])
            yield FalseRecipes(f"{runs[0]} and {runs[1]}", name, *(100 * wrong.mean(0)).tolist())


def _drawn(
    rng: np.random.Generator, runs: tuple[int, int], between: tuple[float, float], images: float, rest: float
) -> Float64:
    """(models, 2, IMAGES): R and D of every run."""
    shared = images * rng.normal(size=(2, IMAGES))
    parts = [
        side * shared + sd * rng.normal(size=(k, 2, 1)) + rest * rng.normal(size=(k, 2, IMAGES))
        for k, sd, side in zip(runs, between, (0.0, 1.0), strict=True)
    ]
    return np.concatenate(parts)


def _wrong(values: Float64, runs: tuple[int, int]) -> tuple[bool, bool, bool]:
    scored = made_by_recipe(values, runs)
    (pair,) = compared(scored).pairs
    anything = any(one.sign for one in (pair.rate, pair.distortion, pair.weighted))
    first, second = np.array([0]), np.array([1])
    images = contrasts(scored, first, second, averaging(scored, group(scored.models)))
    surely = np.abs(images.statistic) > critical(scored.level, scored.n, dimensions=2)
    return pair.weighted.interval.sign != 0, anything, bool(surely.any())


if __name__ == "__main__":
    main()
