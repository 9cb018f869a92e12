"""Runs of one recipe from several seeds: what they come to on average, and how surely."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rdserve.compare.statistics.intervals import critical
from rdserve.study.zoo_scores import ScoredModel

LEVEL = 0.95
_SEED = re.compile(r"^(.*)-s(\d+)$")


class SeedMean(NamedTuple):
    """A mean over n runs; margin: half its 95% interval, Student's with n - 1 degrees of freedom; of one
    run it is NaN."""

    mean: float
    margin: float
    n: int

    @property
    def words(self) -> str:
        """ "4.31 ± 0.12"."""
        return f"{self.mean:z.2f} ± {self.margin:.2f}" if self.n > 1 else f"{self.mean:z.2f}"


@dataclass(frozen=True)
class Replicates:
    """Runs that differ in their seed alone. name: without the seed; runs: by seed."""

    name: str
    runs: Mapping[int, ScoredModel]

    @property
    def first(self) -> ScoredModel:
        """Of the least seed: what it is, but for numbers, all are."""
        return self.runs[min(self.runs)]

    def mean(self, value: Callable[[ScoredModel], float]) -> SeedMean | None:
        """Of a value of each run, over those that have it; None where none has."""
        return mean_over_seeds([value(run) for run in self.runs.values()])


def mean_over_seeds(values: Sequence[float]) -> SeedMean | None:
    """Over those that are numbers; None where there are none."""
    found = np.array([value for value in values if np.isfinite(value)])
    n = len(found)
    if not n:
        return None
    error = found.std(ddof=1) / n**0.5 if n > 1 else np.nan
    return SeedMean(float(found.mean()), float(critical(LEVEL, n) * error), n)


def replicates(models: Sequence[ScoredModel]) -> list[Replicates]:
    """Models grouped by name, which ends in -s1 for seed 1, as recipes have it; else the seed is 0."""
    found: dict[str, dict[int, ScoredModel]] = defaultdict(dict)
    for model in models:
        match = _SEED.match(model.name)
        name, seed = (match[1], int(match[2])) if match else (model.name, 0)
        found[name][seed] = model
    return [Replicates(name, runs) for name, runs in found.items()]
