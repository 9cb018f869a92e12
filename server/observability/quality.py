"""How good the answers are, live: rate, distortion and latent norm of each example, beside the card's.

Buckets follow the card, so that a few of them resolve any model: the reference mean, and distances from
it in standard deviations of one example. The card's quantiles are bounds too: where live examples are like
the card's, PromQL finds the very same quantiles.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from rdserve.models.card import Card
from rdserve.models.card_parts import LEVELS, FiveNumbers, ReferenceScores
from rdserve.server.observability.metrics import (
    DISTORTION,
    NORM,
    RATE,
    REFERENCE_DISTORTION,
    REFERENCE_QUANTILE,
    REFERENCE_RATE,
    MetricSpec,
)
from rdserve.server.registry import ModelRecord
from rdserve.v1.vae_pb2 import EncodeResponse, ReconstructResponse, ScoreResponse
from rdserve.wire import tensors
from rdserve.wire.batches import Response

Values = NDArray[np.float64]

DEVIATIONS = (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
# Of the norm that a standard normal z typically has, the root of its number of latents.
NORMS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
QUANTITIES = {"rate": RATE, "distortion": DISTORTION, "latent_norm": NORM}
# A collapsed model's rate hardly varies; less than this is worth neither a bucket nor an alert.
LEAST_DEVIATION_NATS = 0.1


class Spread(NamedTuple):
    """Mean and standard deviation over single examples."""

    mean: float
    deviation: float


def stated_spread(reference: ReferenceScores, quantity: str) -> Spread:
    """The card's rate or distortion."""
    standard_error: float = getattr(reference, f"{quantity}_standard_error_nats")
    deviation = standard_error * math.sqrt(reference.n_examples)
    return Spread(getattr(reference, f"{quantity}_nats"), max(deviation, LEAST_DEVIATION_NATS))


def bounds_around(spread: Spread) -> list[float]:
    """Bounds of buckets, in nats."""
    return [spread.mean + k * spread.deviation for k in DEVIATIONS]


def bounds_of_norm(latent_dim: int) -> list[float]:
    """Bounds of buckets for the norm of a latent."""
    return [k * math.sqrt(latent_dim) for k in NORMS]


def as_bounds(values: Iterable[float], *, signed: bool = False) -> tuple[float, ...]:
    """Ascending, in four digits; negative ones, with which a histogram has no sum, only where `signed`."""
    rounded = (float(f"{value:.4g}") for value in values)
    return tuple(sorted({bound for bound in rounded if signed or bound >= 0}))


@dataclass
class ArrayHistogram:
    """A histogram that counts whole arrays. counts: per bucket, the last one above every bound."""

    bounds: tuple[float, ...]
    counts: NDArray[np.int64] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._edges = np.array(self.bounds)

    def add(self, values: Values) -> None:
        self.counts += np.bincount(self._edges.searchsorted(values), minlength=len(self.counts))
        # Prometheus takes a sum that falls for a restart; an estimated rate can be a little below 0.
        self.total += float(values.clip(0).sum())

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound as text, and how many lie at or below it."""
        names = [*map(str, self.bounds), "+Inf"]
        return list(zip(names, np.cumsum(self.counts).astype(float), strict=True))


class QualityCollector(Collector):
    """Every model's tallies, and what its card says of them."""

    def __init__(self, entries: Iterable[ModelRecord]) -> None:
        self._entries = entries
        self._cards: dict[str, Card] = {}
        self._tallies: dict[str, dict[MetricSpec, ArrayHistogram]] = {}
        self._lock = Lock()

    def add(self, model: str, response: Response) -> None:
        """The answer to one merged batch."""
        with self._lock:
            if model not in self._tallies:
                self._meet()
            for metric, values in _measured(response).items():
                if model in self._tallies:
                    self._tallies[model][metric].add(values)

    def _meet(self) -> None:
        """Models that are new begin; one with a new card begins anew."""
        for entry in self._entries:
            if entry.card and self._cards.get(entry.name) != entry.card:
                self._cards[entry.name] = entry.card
                self._tallies[entry.name] = _tallies(entry.card)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._meet()
            for metric in (RATE, DISTORTION, NORM):
                family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for model, tallies in sorted(self._tallies.items()):
                    family.add_metric((model,), tallies[metric].buckets(), tallies[metric].total)
                yield family
            references = {name: card.reference for name, card in sorted(self._cards.items())}
        yield _quantiles(references)
        for quantity, metric in (("rate", REFERENCE_RATE), ("distortion", REFERENCE_DISTORTION)):
            yield _spreads(metric, {name: stated_spread(each, quantity) for name, each in references.items()})


def _tallies(card: Card) -> dict[MetricSpec, ArrayHistogram]:
    around = {
        "rate": bounds_around(stated_spread(card.reference, "rate")),
        "distortion": bounds_around(stated_spread(card.reference, "distortion")),
        "latent_norm": bounds_of_norm(card.latent.size),
    }
    stated = _five_numbers(card.reference)
    return {
        metric: ArrayHistogram(
            as_bounds(
                [*around[quantity], *stated.get(quantity, ())],
                # The distortion of a density may be negative.
                signed=quantity == "distortion" and card.likelihood.measure == "lebesgue",
            )
        )
        for quantity, metric in QUANTITIES.items()
    }


def _five_numbers(reference: ReferenceScores) -> dict[str, FiveNumbers]:
    """By quantity; none where the card states none."""
    quantiles = reference.quantiles
    if quantiles is None:
        return {}
    return {
        "rate": quantiles.rate_nats,
        "distortion": quantiles.distortion_nats,
        "latent_norm": quantiles.latent_norm,
    }


def _quantiles(references: dict[str, ReferenceScores]) -> Metric:
    return REFERENCE_QUANTILE.read(
        ((model, quantity, str(level)), value)
        for model, reference in references.items()
        for quantity, five in _five_numbers(reference).items()
        for level, value in zip(LEVELS, five, strict=True)
    )


def _measured(response: Response) -> dict[MetricSpec, Values]:
    if isinstance(response, ScoreResponse):
        return {
            RATE: np.array(response.rate_nats, np.float64),
            DISTORTION: np.array(response.distortion_nats, np.float64),
        }
    if isinstance(response, EncodeResponse):
        return {NORM: _norms(tensors.to_array(response.latents)[:, 0])}
    if isinstance(response, ReconstructResponse):
        return {NORM: _norms(tensors.to_array(response.latents))}
    return {}


def _norms(latents: NDArray[np.generic]) -> Values:
    norms: Values = np.linalg.norm(latents.astype(np.float64).reshape(len(latents), -1), axis=-1)
    return norms


def _spreads(metric: MetricSpec, spreads: dict[str, Spread]) -> Metric:
    return metric.read(
        sample
        for model, spread in spreads.items()
        for sample in (
            ((model, "mean"), spread.mean),
            ((model, "standard_deviation"), spread.deviation),
        )
    )
