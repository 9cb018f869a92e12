"""Models at chosen places of the rate-distortion plane, and rows of a comparison."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.comparison import Comparison
from rdserve.compare.scores import ScoredData
from rdserve.compare.statistics.summaries import ModelSummary, summarise

MODEL = ModelInfo(
    name="model",
    version="1.0",
    state="SERVING",
    state_reason="",
    family="-+v",
    image_shape=(8, 8),
    latent_dim=4,
    likelihood="bernoulli",
    binarisation="threshold at 8 of 16",
    objective="beta-vae",
    beta=1.0,
    data_name="digits",
    data_sha256="0" * 64,
    weights_sha256="1" * 64,
    dtype="float32",
    code_version="0",
    reference=None,
)
FAMILIES = [e + d + m for e in "-+" for d in "-+" for m in "-+v"]


def score(rate: np.ndarray, distortion: np.ndarray) -> Score:  # type: ignore[type-arg]
    ones = np.ones(len(rate))
    return Score(rate, distortion, -(rate + distortion), ones, True)


def rows_at(points: Sequence[tuple[float, float]], *, n: int = 50, prefix: str = "m") -> list[ModelSummary]:
    """Rows of models near these (R, D), of all families in turn, with betas that tell them apart."""
    rng = np.random.default_rng(0)
    models, scores = [], []
    for index, (rate, distortion) in enumerate(points):
        family = FAMILIES[index % len(FAMILIES)]
        beta = 1.0 - 0.1 * (index // len(FAMILIES))
        models.append(replace(MODEL, name=f"{prefix}{index}", family=family, beta=beta))
        scores.append(score(rate + rng.normal(size=n), distortion + rng.normal(size=n)))
    return summarise(models, scores, n_samples=1)


def comparison_at(
    points: Sequence[tuple[float, float]], *, n: int = 50, labels: bool = False, noise: float = 1.0
) -> Comparison:
    """Models m0, m1, ... near these (R, D); what is hard for one example is hard for all models."""
    rng = np.random.default_rng(0)
    hard = rng.normal(size=(2, n))
    models, scores = [], []
    for index, (rate, distortion) in enumerate(points):
        family = FAMILIES[index % len(FAMILIES)]
        models.append(replace(MODEL, name=f"m{index}", family=family))
        own = 0.2 * rng.normal(size=(2, n))
        scores.append(score(*np.add([[rate], [distortion]], noise * (hard + own))))
    return Comparison(
        models=tuple(models),
        scores=tuple(scores),
        example_ids=np.arange(n, dtype=np.uint64),
        data=ScoredData("digits", "test", "0" * 64),
        labels=np.arange(n) % 3 if labels else None,
    )


def comparison_of(values: np.ndarray, labels: np.ndarray | None = None) -> Comparison:  # type: ignore[type-arg]
    """Models m0, m1, ... with these R and D, (M, 2, N) nats."""
    return Comparison(
        models=tuple(replace(MODEL, name=f"m{index}") for index in range(len(values))),
        scores=tuple(score(rate, distortion) for rate, distortion in values),
        example_ids=np.arange(values.shape[-1], dtype=np.uint64),
        data=ScoredData("digits", "test", "0" * 64),
        labels=labels,
    )


# Twelve families in two clusters and a sweep of beta, as trained models lie.
CROWDED = (
    [(0.02 + 0.1 * k, 20.5 - 0.1 * k) for k in range(6)]
    + [(9.0 + 0.1 * k, 13.0 - 0.15 * k) for k in range(6)]
    + [(17.8, 4.6), (11.5, 9.0), (7.0, 13.6), (4.1, 16.5), (2.0, 18.8), (0.1, 20.5)]
)
