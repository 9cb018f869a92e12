"""How often anything false is said of models that are equal in truth: what docs/statistics.md quotes.

    python -m benchmarks.claims [--runs 2000] [--looks 400]

Markdown tables on stdout: shares of runs in which any sign, range of beta or dominated model was called
sure; and shares of sequences of 6,000 images, looked at after each, whose 95% interval ever left out the
truth. Half of the models are skewed one way, half the other: so are their differences then.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.analysis.pairs import pairs
from rdserve.compare.statistics.sequential import confidence_sequence

from benchmarks.made import made
from benchmarks.markdown import table

Float64 = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Float64]

LAWS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "t, 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "lognormal": lambda rng, shape: np.exp(rng.normal(size=shape)) - np.exp(0.5),
}
LONGER: dict[str, Draw] = LAWS | {
    "lognormal, sigma 1.5": lambda rng, shape: np.exp(1.5 * rng.normal(size=shape)) - np.exp(1.125),
    "20 deviations on 1 in 100": lambda rng, shape: _rare(rng, shape, 100),
    "20 deviations on 1 in 1000": lambda rng, shape: _rare(rng, shape, 1000),
}
IMAGES = 6000
BATCH = 50


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--looks", type=int, default=400)
    given = parser.parse_args()
    print(f"any false statement, % of {given.runs} runs\n")
    table(list(fixed(given.runs)))
    print(f"\n95% interval ever wrong, % of {given.looks} runs\n")
    table(list(sequences(given.looks)))


@dataclass(frozen=True)
class FalseStatements:
    """Models on images, numbers fixed beforehand."""

    models: int
    images: int
    normal: float
    exponential: float
    t3: float
    lognormal: float


@dataclass(frozen=True)
class FalseSequence:
    """One difference, looked at after every image."""

    law: str
    ever_wrong: float


def fixed(runs: int) -> Iterator[FalseStatements]:
    """2, 5 and 19 models on 50, 200 and 1000 images."""
    for models in (2, 5, 19):
        for images in (50, 200, 1000):
            yield FalseStatements(models, images, *(share(law, models, images, runs) for law in LAWS))


def share(law: str, models: int, images: int, runs: int) -> float:
    """Percent of runs in which anything is sure."""
    rng = np.random.default_rng([models, images])
    odd = np.arange(models) % 2
    sides = np.where(odd, 1.0, -0.3)[:, None, None]
    wrong = sum(_sure(LAWS[law](rng, (models, 2, images)) * sides) for _ in range(runs))
    return 100 * wrong / runs


def _sure(values: Float64) -> bool:
    found = pairs(made(values))
    return bool(found.signs.any()) or any(len(one.stretches) > 1 for one in found.preferences)


def sequences(runs: int) -> Iterator[FalseSequence]:
    """Every law, with a mean of zero."""
    for law, draw in LONGER.items():
        rng, wrong = np.random.default_rng(0), 0
        for start in range(0, runs, BATCH):
            low, high = confidence_sequence(draw(rng, (min(BATCH, runs - start), IMAGES)))
            wrong += int(((low > 0) | (high < 0)).any(-1).sum())
        yield FalseSequence(law, 100 * wrong / runs)


def _rare(rng: np.random.Generator, shape: tuple[int, ...], one_in: int) -> Float64:
    return rng.normal(size=shape) + 20 * (rng.random(shape) < 1 / one_in) - 20 / one_in


if __name__ == "__main__":
    main()
