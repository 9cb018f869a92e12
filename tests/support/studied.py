"""Runs at chosen places, as a study finds them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from points import MODEL, score
from rdserve.compare.statistics.summaries import summarise
from rdserve.data import load
from rdserve.study.fidelity import Fidelity
from rdserve.study.subset import Examples, examples
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo, marked

N = 20
Place = tuple[str, float, float, float]  # family, beta, R, D


# What a study without labels measures.
BLIND = Fidelity(N, 0, agreement=None, chance=None, error=0.5, same_z=0.4, fresh_z=0.6)


def few_examples(n: int = N) -> Examples:
    """Digits."""
    return examples(load("digits", split="test"), n)


def run_at(
    place: Place, *, annealed: bool = False, name: str = "", objective: str = "beta-vae"
) -> ScoredModel:
    """A run exactly there."""
    family, beta, rate, distortion = place
    called = name or f"m{family}b{beta}" + ("-annealed" if annealed else "")
    epochs = 4 if annealed else 0
    info = replace(MODEL, name=called, family=family, beta=beta, objective=objective, annealing_epochs=epochs)
    scores = score(np.full(N, rate), np.full(N, distortion))
    (row,) = summarise([info], [scores], n_samples=1)
    return ScoredModel(info, row, scores, seed=0)


def runs_at(found: Sequence[ScoredModel]) -> ScoredZoo:
    """A study of them."""
    return ScoredZoo(few_examples(), tuple(marked(found)), {})
