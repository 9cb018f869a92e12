"""Digits fed upside down are noticed: the shipped alert, in a real Prometheus over a real service."""

import numpy as np
from polling import until
from prometheus import MODEL, Prometheus
from rdserve.client import Client
from rdserve.data import load
from running import Running

ALERT = "RdserveQualityDrift"
DRIFT = 'model:rdserve_drift:deviations15m{quantity="distortion"}'


def test_the_alert_fires_for_digits_upside_down_and_not_before(watched: Running, scraped: Prometheus) -> None:
    images = load("digits", split="test").images
    with Client(watched.address) as client:

        def enough() -> bool:
            """Feed, until the rules have seen enough to judge."""
            client.score(MODEL, images)
            seen = scraped.value("min(model:rdserve_examples:increase15m)")
            return seen is not None and seen >= 100 and scraped.value(DRIFT) is not None

        until(enough)
        upright = scraped.value(DRIFT)
        assert upright is not None
        assert abs(upright) < 0.1
        assert ALERT not in {labels["alertname"] for labels in scraped.firing()}

        fed: list[dict[str, str]] = []

        def noticed() -> bool:
            client.score(MODEL, np.ascontiguousarray(images[:, ::-1, ::-1]))
            fed[:] = [labels for labels in scraped.firing() if labels["alertname"] == ALERT]
            return "distortion" in {labels["quantity"] for labels in fed}

        until(noticed)
    assert {labels["model"] for labels in fed} == {MODEL}
