"""Curves over beta, and intervals of how far apart two are."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from points import comparison_at
from rdserve.client.results import Score
from rdserve.compare.analysis.sweeps import Law, sweeps
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.render.html import report
from rdserve.compare.statistics import curves

FIRST = [(2, 18), (5, 12.4), (10, 8)]
SECOND = [(3, 17), (6, 11), (11, 7.2)]
ENTROPY = 16.0


def swept(points: Sequence[tuple[float, float]], **options: object) -> Comparison:
    """Two families of three betas each."""
    comparison = comparison_at(points, **options)  # type: ignore[arg-type]
    models = [
        replace(info, family="-+v" if i < 3 else "++-", beta=(1.0, 0.5, 0.2)[i % 3])
        for i, info in enumerate(comparison.models)
    ]
    return replace(comparison, models=tuple(models))


@pytest.fixture(scope="module")
def two() -> Comparison:
    return swept(FIRST + SECOND, n=400, labels=True)


def test_a_curve_is_a_family_over_beta(two: Comparison) -> None:
    a, b = sweeps(two, ENTROPY)
    assert (a.family, a.names, a.betas) == ("-+v", ("m0", "m1", "m2"), (1.0, 0.5, 0.2))
    assert b.names == ("m3", "m4", "m5")
    points = [(two.score(name).rate_nats.mean(), two.score(name).distortion_nats.mean()) for name in a.names]
    assert a.excess == curves.excess_over_entropy(points, ENTROPY)


@pytest.mark.parametrize("change", [{"beta": 1.0}, {"objective": "other"}, {"data_sha256": "1" * 64}])
def test_what_differs_in_more_than_beta_is_no_curve(two: Comparison, change: dict[str, object]) -> None:
    models = [replace(info, **change) if i in (0, 1) else info for i, info in enumerate(two.models)]  # type: ignore[arg-type]
    left = replace(two, models=tuple(models[:2]) + tuple(models[5:]), scores=two.scores[:2] + two.scores[5:])
    found = sweeps(left, ENTROPY)
    assert len(found) == (0 if "beta" in change else 1)


def test_gaps_are_bjontegaard_s_of_the_means(two: Comparison) -> None:
    (gap,) = two.analysis.gaps
    assert (gap.a, gap.b) == ("-+v", "++-")
    points = np.array([[s.rate_nats.mean(), s.distortion_nats.mean()] for s in two.scores])
    for found, measure in (
        (gap.rate_percent, curves.bd_rate_percent),
        (gap.rate_nats, curves.bd_rate_nats),
        (gap.distortion_nats, curves.bd_distortion_nats),
    ):
        assert found is not None
        assert found.value == pytest.approx(measure(points[:3], points[3:]))


@pytest.mark.slow
def test_intervals_hold_as_often_as_they_say() -> None:
    """150 sets of 100 images, and three binomial errors of room."""
    rng, n, held = np.random.default_rng(1), 100, 0
    comparison, points = swept(FIRST + SECOND, n=n), np.array(FIRST + SECOND, float)
    found = sweeps(comparison, ENTROPY)
    truth = curves.bd_rate_nats(points[:3], points[3:])
    for _ in range(150):
        hard = rng.normal(size=(2, n))
        noise = hard + 0.3 * rng.normal(size=(len(points), 2, n))
        scores = tuple(
            Score(*(p[:, None] + e), -p.sum() - e.sum(0), np.ones(n), True)
            for p, e in zip(points, noise, strict=True)
        )
        law = Law.of(replace(comparison, scores=scores), *(one.names for one in found))
        gap = law.estimate(curves.bd_rate_nats)
        assert gap is not None
        assert gap.interval is not None
        held += gap.interval.low <= truth <= gap.interval.high
    assert 134 <= held <= 149


def test_curves_without_a_common_range_have_no_gap() -> None:
    far = swept([*FIRST, (30, 2), (31, 1), (32, 0.5)])
    (gap,) = far.analysis.gaps
    assert gap.rate_nats is None
    assert gap.distortion_nats is None


def test_intervals_are_not_given_to_who_stopped_on_what_he_saw(two: Comparison) -> None:
    (gap,) = replace(two, method="sequential").analysis.gaps
    assert gap.rate_nats is not None
    assert gap.rate_nats.interval is None


def test_they_are_in_the_document_and_the_report(two: Comparison) -> None:
    found = json.loads("".join(json_stream.text(to_document(two.analysis))))["curves"]
    (gap,) = two.analysis.gaps
    assert gap.rate_percent is not None
    assert found["gaps"][0]["rate_percent"]["value"] == gap.rate_percent.value
    assert found["sweeps"][1]["names"] == ["m3", "m4", "m5"]
    html = report.render(two.analysis)
    assert "Curves over β</h2>" in html
    assert f"+{gap.rate_percent.value:.2f} %" in html
    assert "Curves over β" not in report.render(comparison_at(FIRST).analysis)
