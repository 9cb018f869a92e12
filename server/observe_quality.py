"""How good the answers are, live: rate, distortion and latent norm of each example, beside the card's.

Buckets follow the card, so that a few of them resolve any model: the reference mean, and distances from
it in standard deviations of one example.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from rdserve.models.card import Card, Reference
from rdserve.server.catalogue import Entry
from rdserve.server.metrics import (
    DISTORTION,
    NORM,
    RATE,
    REFERENCE_DISTORTION,
    REFERENCE_RATE,
    Declared,
)
from rdserve.v1 import tensors
from rdserve.v1.rows import Response
from rdserve.v1.vae_pb2 import EncodeResponse, ReconstructResponse, ScoreResponse

Values = NDArray[np.float64]

DEVIATIONS = (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
# Of the norm that a standard normal z typically has, the root of its number of latents.
NORMS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
# A collapsed model's rate hardly varies; less than this is worth neither a bucket nor an alert.
LEAST_DEVIATION_NATS = 0.1


class Spread(NamedTuple):
    """Mean and standard deviation over single examples."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, mean: float, standard_error: float, n: int) -> Self:
        return cls(mean, max(standard_error * math.sqrt(n), LEAST_DEVIATION_NATS))


def rate_of(reference: Reference) -> Spread:
    """The card's rate."""
    return Spread.of(reference.rate_nats, reference.rate_standard_error_nats, reference.n_examples)


def distortion_of(reference: Reference) -> Spread:
    """The card's distortion."""
    return Spread.of(
        reference.distortion_nats, reference.distortion_standard_error_nats, reference.n_examples
    )


def bounds_around(spread: Spread) -> tuple[float, ...]:
    """Upper bounds of buckets, in nats, ascending, none negative: such a histogram has no sum."""
    bounds = (float(f"{spread.mean + k * spread.deviation:.4g}") for k in DEVIATIONS)
    return tuple(sorted({bound for bound in bounds if bound >= 0}))


def bounds_of_norm(latent_dim: int) -> tuple[float, ...]:
    """Upper bounds of buckets for the norm of a latent."""
    return tuple(float(f"{k * math.sqrt(latent_dim):.4g}") for k in NORMS)


@dataclass
class Tally:
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


class Quality(Collector):
    """Every model's tallies, and what its card says of them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = entries
        self._cards: dict[str, Card] = {}
        self._tallies: dict[str, dict[Declared, Tally]] = {}
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
        yield _spreads(REFERENCE_RATE, {name: rate_of(reference) for name, reference in references.items()})
        yield _spreads(
            REFERENCE_DISTORTION, {name: distortion_of(reference) for name, reference in references.items()}
        )


def _tallies(card: Card) -> dict[Declared, Tally]:
    return {
        RATE: Tally(bounds_around(rate_of(card.reference))),
        DISTORTION: Tally(bounds_around(distortion_of(card.reference))),
        NORM: Tally(bounds_of_norm(card.architecture.latent_dim)),
    }


def _measured(response: Response) -> dict[Declared, Values]:
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
    norms: Values = np.linalg.norm(latents.astype(np.float64), axis=-1)
    return norms


def _spreads(metric: Declared, spreads: dict[str, Spread]) -> Metric:
    return metric.read(
        sample
        for model, spread in spreads.items()
        for sample in (
            ((model, "mean"), spread.mean),
            ((model, "standard_deviation"), spread.deviation),
        )
    )
