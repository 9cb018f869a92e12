"""Digits fed upside down are noticed: the shipped alert, in a real Prometheus over a real service."""

from pathlib import Path

import numpy as np
import pytest
from polling import until
from prometheus import MODEL, Prometheus
from rdserve.client import Client
from rdserve.data import load
from rdserve.models.card import read_card
from running import Running

ZOO = Path(__file__).parents[2] / "zoo/digits"
ALERT = "RdserveQualityDrift"
DRIFT = 'model:rdserve_drift:spreads15m{quantity="distortion", level="0.5"}'
STATED = 'rdserve_reference_quantile{quantity="distortion", level="0.5"}'
SEEN = 'min(model:rdserve_examples:increase15m{quantity=~"rate|distortion", le="+Inf"})'


def test_the_alert_fires_for_digits_upside_down_and_not_before(watched: Running, scraped: Prometheus) -> None:
    images = load("digits", split="test").images
    with Client(watched.address) as client:

        def enough() -> bool:
            """Feed, until the rules have seen enough to judge."""
            client.score(MODEL, images)
            seen = scraped.value(SEEN)
            return seen is not None and seen >= 200 and scraped.value(DRIFT) is not None

        until(enough)
        upright = scraped.value(DRIFT)
        assert upright is not None
        assert abs(upright) < 0.1
        quantiles = read_card(ZOO / MODEL).reference.quantiles
        assert quantiles
        assert scraped.value(STATED) == quantiles.distortion_nats[2]
        median = quantiles.distortion_nats[2]

        def like_the_card() -> bool:
            """Feed: a scrape between two parts of a set has seen its beginning more often than its end."""
            client.score(MODEL, images)
            live = scraped.value('model:rdserve_live_quantile:15m{quantity="distortion", level="0.5"}')
            return live == pytest.approx(median, abs=0.5)

        until(like_the_card)
        assert ALERT not in {labels["alertname"] for labels in scraped.firing()}

        fed: list[dict[str, str]] = []

        def noticed() -> bool:
            client.score(MODEL, np.ascontiguousarray(images[:, ::-1, ::-1]))
            fed[:] = [labels for labels in scraped.firing() if labels["alertname"] == ALERT]
            return "distortion" in {labels["quantity"] for labels in fed}

        until(noticed)
    assert {labels["model"] for labels in fed} == {MODEL}
