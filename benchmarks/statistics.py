"""Processor time of all that is said of many models: pairs as arrays, and pair by pair.

    python -m benchmarks.statistics

A Markdown table on stdout. Pair by pair is done for some of the pairs and scaled to all of them; both in one
run, since machines differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import TypeVar

import numpy as np
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render.document import to_document
from rdserve.compare.render.json_stream import text
from rdserve.compare.render.terminal import as_text
from rdserve.compare.render.verdict import verdict
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.paired import difference, weighted
from rdserve.compare.statistics.preference import preference

from benchmarks.made import made
from benchmarks.markdown import table

SIZES = ((209, 400), (60, 10_000))
SOME_PAIRS = 300
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Seconds. find: all statistics. words: verdict and tables. written: comparison.json.

    pair_by_pair: of what is found of pairs; ratio: that over find, words and written together.
    """

    models: int
    images: int
    pairs: int
    find: float
    words: float
    written: float
    pair_by_pair: float
    ratio: float


def main() -> None:
    """Both sizes."""
    table([cost(models, images) for models, images in SIZES])


def cost(models: int, images: int) -> Cost:
    """Of random models on random images. What is loaded on first use is loaded before."""
    values = np.random.default_rng(0).normal(size=(models, 2, images)) + np.array([[10.0], [80.0]])
    scored = made(values, labels=np.arange(images) % 10)
    count = models * (models - 1) // 2
    words_of(found_in(made(values[:3, :, :40])))
    analysis, found = timed(lambda: found_in(scored))
    _, words = timed(lambda: words_of(analysis))
    _, written = timed(lambda: sum(map(len, text(to_document(analysis), "\n"))))
    _, singly = timed(lambda: pair_by_pair(scored, SOME_PAIRS))
    singly *= count / SOME_PAIRS
    return Cost(models, images, count, found, words, written, singly, singly / (found + words + written))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and processor seconds of this process."""
    before = process_time()
    return work(), process_time() - before


def found_in(scored: ScoreSet) -> Analysis:
    """Statistics of its models and of its pairs."""
    analysis = Analysis(scored)
    for name in ("rows", "ellipses", "dominated_by"):
        getattr(analysis, name)
    return analysis


def words_of(analysis: Analysis) -> None:
    """Classes, verdict, and the tables of a terminal."""
    verdict(analysis)
    as_text(analysis)


def pair_by_pair(scored: ScoreSet, count: int) -> None:
    """The differences in R, D, R + D and D + beta R, and the ranges of beta, of the first pairs."""
    for at in range(count):
        a, b = (scored.scores[i] for i in (0, 1 + at % (len(scored.scores) - 1)))
        difference(a.rate_nats, b.rate_nats)
        difference(a.distortion_nats, b.distortion_nats)
        for beta in (1.0, scored.beta):
            difference(weighted(a, beta), weighted(b, beta))
        preference(a.rate_nats - b.rate_nats, a.distortion_nats - b.distortion_nats)


if __name__ == "__main__":
    main()
