"""Live histograms of what models answer, beside their cards."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rdserve.models.card import Card
from rdserve.models.card_parts import LEVELS, Quantiles
from rdserve.server.observability.quality import (
    LEAST_DEVIATION_NATS,
    ArrayHistogram,
    QualityCollector,
    Spread,
    as_bounds,
    bounds_around,
    stated_spread,
)
from rdserve.server.registry import ModelRecord, ModelRegistry
from rdserve.v1.vae_pb2 import DecodeResponse, ScoreResponse


def samples(quality: QualityCollector) -> dict[tuple[str, str], float]:
    """(sample, le or statistic) -> value, as the endpoint shows them."""
    registry = CollectorRegistry()
    registry.register(quality)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, sample.labels.get("le", sample.labels.get("statistic", ""))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_tally_counts_as_numpy_does() -> None:
    values = np.random.default_rng(0).normal(5, 3, 1000).clip(0)
    values[:3] = 0, 2, 8  # on the bounds: they belong below
    tally = ArrayHistogram((0.0, 2.0, 5.0, 8.0))
    for part in np.array_split(values, 7):
        tally.add(part)
    assert dict(tally.buckets()) == {
        **{str(bound): (values <= bound).sum() for bound in tally.bounds},
        "+Inf": 1000,
    }
    assert tally.total == pytest.approx(values.sum())


def test_a_sum_never_falls() -> None:
    tally = ArrayHistogram((1.0,))
    tally.add(np.array([-0.5, 0.25]))
    assert tally.total == 0.25
    assert dict(tally.buckets())["+Inf"] == 2


def test_buckets_follow_the_card_and_are_not_negative() -> None:
    bounds = as_bounds(bounds_around(Spread(5.0, 1.0)))
    assert {4.5, 5.0, 5.5, 15.0} <= set(bounds)
    assert bounds == tuple(sorted(set(bounds)))
    assert min(as_bounds(bounds_around(Spread(0.0, LEAST_DEVIATION_NATS)))) == 0.0


def test_the_cards_standard_error_becomes_the_deviation_of_one_example(card: Card) -> None:
    reference = card.reference.model_copy(update={"n_examples": 400, "rate_standard_error_nats": 0.05})
    assert stated_spread(reference, "rate") == Spread(1.0, pytest.approx(1.0))
    collapsed = reference.model_copy(update={"rate_standard_error_nats": 0.0})
    assert stated_spread(collapsed, "rate").deviation == LEAST_DEVIATION_NATS


def test_what_is_shown(card: Card) -> None:
    catalogue = ModelRegistry()
    quality = QualityCollector(catalogue)
    catalogue.add(card.name, card)
    assert samples(quality)["rdserve_rate_nats_count", ""] == 0
    quality.add(card.name, ScoreResponse(rate_nats=[1.0, 2.0], distortion_nats=[3.0, 4.5]))
    quality.add(card.name, DecodeResponse())
    shown = samples(quality)
    assert shown["rdserve_rate_nats_count", ""] == 2
    assert shown["rdserve_rate_nats_sum", ""] == 3
    assert shown["rdserve_distortion_nats_sum", ""] == 7.5
    assert shown["rdserve_reference_distortion_nats", "mean"] == 2
    assert shown["rdserve_reference_distortion_nats", "standard_deviation"] == 0.1


def test_the_cards_quantiles_are_shown_and_are_bounds(card: Card) -> None:
    quantiles = Quantiles(
        rate_nats=(-0.1, 0.2, 1.0, 1.8, 2.3),
        distortion_nats=(1.0, 1.5, 2.0, 2.5, 3.03),
        latent_norm=(1.0, 1.77, 2.0, 2.5, 3.0),
    )
    stated = card.reference.model_copy(update={"quantiles": quantiles})
    quality = QualityCollector([ModelRecord(card.name, card.model_copy(update={"reference": stated}))])
    quality.add(card.name, ScoreResponse(rate_nats=[1.0, 1.8], distortion_nats=[3.03, 3.04]))
    registry = CollectorRegistry()
    registry.register(quality)
    model = {"model": card.name}
    for quantity, five in (("rate", quantiles.rate_nats), ("latent_norm", quantiles.latent_norm)):
        for level, value in zip(LEVELS, five, strict=True):
            labels = {**model, "quantity": quantity, "level": str(level)}
            assert registry.get_sample_value("rdserve_reference_quantile", labels) == value
    assert registry.get_sample_value("rdserve_rate_nats_bucket", {**model, "le": "1.8"}) == 2
    assert registry.get_sample_value("rdserve_distortion_nats_bucket", {**model, "le": "3.03"}) == 1
    assert registry.get_sample_value("rdserve_latent_norm_bucket", {**model, "le": "1.77"}) == 0
    assert registry.get_sample_value("rdserve_rate_nats_bucket", {**model, "le": "-0.1"}) is None


def test_a_card_without_quantiles_shows_none(card: Card) -> None:
    assert card.reference.quantiles is None
    names = {name for name, _ in samples(QualityCollector([ModelRecord(card.name, card)]))}
    assert "rdserve_rate_nats_bucket" in names
    assert "rdserve_reference_quantile" not in names


def test_a_model_with_a_new_card_begins_anew(card: Card) -> None:
    entries = [ModelRecord(card.name, card)]
    quality = QualityCollector(entries)
    quality.add(card.name, ScoreResponse(rate_nats=[1.0], distortion_nats=[3.0]))
    changed = card.reference.model_copy(update={"rate_nats": 9.0})
    entries[:] = [ModelRecord(card.name, card.model_copy(update={"reference": changed}))]
    shown = samples(quality)
    assert shown["rdserve_reference_rate_nats", "mean"] == 9
    assert shown["rdserve_rate_nats_count", ""] == 0
