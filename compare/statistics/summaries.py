"""Statistics of models scored on the same examples. Pure functions over per-example arrays; numpy only.

A model is a point (R, D) in the rate-distortion plane, both in nats per example; its ELBO is -(R + D).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics.frontier import pareto
from rdserve.compare.statistics.latents import collapsed

if TYPE_CHECKING:
    from rdserve.client.results import ModelInfo, Score

Float64 = NDArray[np.float64]


class Mean(NamedTuple):
    """A mean over examples, and its standard error (NaN for a single example)."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class ModelSummary:
    """A model's line in a comparison. Means over n examples with their standard errors, in nats.

    The standard error of the ELBO is that of the per-example sums, not of R and D put together: R and D
    of an example are correlated.
    on_frontier: no other model of the comparison has both a lower rate and a lower distortion.
    """

    name: str
    family: str
    beta: float
    likelihood: str
    n: int
    n_samples: int
    rate_nats: float
    rate_standard_error_nats: float
    rate_is_exact: bool
    distortion_nats: float
    distortion_standard_error_nats: float
    elbo_nats: float
    elbo_standard_error_nats: float
    importance_bound_nats: float
    importance_bound_standard_error_nats: float
    on_frontier: bool
    weights_sha256: str

    @property
    def collapsed(self) -> bool:
        """Whether the model ignores its code."""
        return collapsed(self.rate_nats)


def moments(d: Float64) -> tuple[Float64, Float64]:
    """Mean of (..., N) over the last axis, and its standard error: NaN where N is 1."""
    n = d.shape[-1]
    error = d.std(-1, ddof=1) / n**0.5 if n > 1 else np.full(d.shape[:-1], np.nan)
    return np.asarray(d.mean(-1)), np.asarray(error)


def mean(values: ArrayLike) -> Mean:
    """Mean of per-example values (N,) and its standard error.

    Raises:
        ValueError: not one axis, or no values.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"per-example values have one axis and at least one entry, got shape {array.shape}")
    return Mean(*map(float, moments(array)))


def summarise(
    models: Sequence["ModelInfo"],
    scores: Sequence["Score"],
    *,
    n_samples: int,
    units: Sequence["Score"] | None = None,
) -> list[ModelSummary]:
    """One row per model, sorted along the frontier: by rate, then by distortion.

    units: what errors are computed from, where examples are not independent.
    Raises:
        ValueError: scores of different numbers of examples.
    """
    if len({len(score.rate_nats) for score in scores}) > 1:
        raise ValueError("models were scored on different numbers of examples")
    means = [(mean(score.rate_nats), mean(score.distortion_nats)) for score in scores]
    best = pareto(np.array([[rate.value, distortion.value] for rate, distortion in means]).reshape(-1, 2))
    rows = [
        _row(model, score, of, n_samples, bool(on_frontier))
        for model, score, of, on_frontier in zip(models, scores, units or scores, best, strict=True)
    ]
    return along_frontier(rows)


def _row(
    model: "ModelInfo", score: "Score", units: "Score", n_samples: int, on_frontier: bool
) -> ModelSummary:
    rate, distortion, elbo, bound = (
        mean(getattr(score, name))._replace(standard_error=mean(getattr(units, name)).standard_error)
        for name in ("rate_nats", "distortion_nats", "elbo_nats", "importance_bound_nats")
    )
    return ModelSummary(
        name=model.name,
        family=model.family,
        beta=model.beta,
        likelihood=model.likelihood,
        n=len(score.rate_nats),
        n_samples=n_samples,
        rate_nats=rate.value,
        rate_standard_error_nats=rate.standard_error,
        rate_is_exact=score.rate_is_exact,
        distortion_nats=distortion.value,
        distortion_standard_error_nats=distortion.standard_error,
        elbo_nats=elbo.value,
        elbo_standard_error_nats=elbo.standard_error,
        importance_bound_nats=bound.value,
        importance_bound_standard_error_nats=bound.standard_error,
        on_frontier=on_frontier,
        weights_sha256=model.weights_sha256,
    )


def along_frontier(rows: Sequence[ModelSummary]) -> list[ModelSummary]:
    """From low rate to high rate; models of one rate from low distortion to high."""
    return sorted(rows, key=lambda row: (row.rate_nats, row.distortion_nats, row.name))
