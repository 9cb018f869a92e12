"""How often intervals of dependent images leave out the truth: what docs/statistics.md quotes.

    python -m benchmarks.groups [--runs 2000]

A Markdown table on stdout: percent of simulated differences of mean zero whose 95% interval is wrong, where
half of the variance is that of groups of 10 images, or of groups whose sizes are lognormal around 10.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.statistics.paired import difference

from benchmarks.markdown import table

GROUPS = (10, 30, 100, 300)
# Standard deviation of the logarithm of a group's size.
SPREADS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class WrongIntervals:
    """Percent of intervals that leave out the truth, by groups and as if images were independent."""

    groups: int
    spread_of_sizes: float
    by_group: float
    as_if_independent: float


def main() -> None:
    """Every number of groups, every spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    print(f"95% interval wrong, % of {given.runs} runs\n")
    table(list(shares(given.runs)))


def shares(runs: int) -> Iterator[WrongIntervals]:
    """Every case."""
    for groups in GROUPS:
        for spread in SPREADS:
            rng = np.random.default_rng([groups, int(10 * spread)])
            wrong = np.array([_wrong(rng, groups, spread) for _ in range(runs)])
            yield WrongIntervals(groups, spread, *(100 * wrong.mean(0)).tolist())


def _wrong(rng: np.random.Generator, groups: int, spread: float) -> tuple[bool, bool]:
    sizes = np.maximum(1, np.round(10 * np.exp(spread * rng.normal(size=groups) - spread**2 / 2))).astype(int)
    ids: NDArray[np.int64] = np.repeat(np.arange(groups), sizes)
    values = (rng.normal(size=groups)[ids] + rng.normal(size=len(ids))) / 2**0.5
    nothing = np.zeros(len(ids))
    return difference(values, nothing, groups=ids).sign != 0, difference(values, nothing).sign != 0


if __name__ == "__main__":
    main()
