"""Better on the whole, and worse in one class."""

import json
from dataclasses import replace

import numpy as np
import pytest
from points import CROWDED, comparison_at
from rdserve.client.results import Score
from rdserve.compare.analysis.by_class import by_class
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.render.html import report
from rdserve.compare.statistics.paired import weighted


def shifted(comparison: Comparison, name: str, label: int, nats: float) -> Comparison:
    """With more distortion of one model in one class."""
    assert comparison.labels is not None
    at, old = comparison.names.index(name), comparison.score(name)
    distortion = old.distortion_nats + nats * (comparison.labels == label)
    scores = list(comparison.scores)
    scores[at] = Score(old.rate_nats, distortion, -(old.rate_nats + distortion), old.importance_ess, True)
    return replace(comparison, scores=tuple(scores))


@pytest.fixture(scope="module")
def two() -> Comparison:
    """m1 is better by 0.3 nats, but worse in class 2."""
    return shifted(comparison_at([(5, 15), (5.3, 14.4)], n=600, labels=True), "m1", 2, 0.5)


def test_differences_are_those_of_the_class_alone(two: Comparison) -> None:
    found = two.analysis.classes
    assert found is not None
    assert (found.reference, found.labels, found.sizes) == ("m1", (0, 1, 2), (200, 200, 200))
    assert found.signs("m0") == [1, 1, -1]
    assert two.labels is not None
    for label, cost, one in zip(found.labels, found.costs, found.differences["m0"], strict=True):
        own = [weighted(two.score(name), two.beta)[two.labels == label] for name in ("m0", "m1")]
        assert one.mean == pytest.approx((own[0] - own[1]).mean())
        assert cost == pytest.approx(own[1].mean())


def test_the_verdict_tells_where_it_is_otherwise(two: Comparison) -> None:
    words = "Class by class, m1 is surely lower on 2 of 3, and surely higher on class 2 (0.26 nats)."
    assert words in two.verdict
    assert words in " ".join(two.table().split())
    same = replace(two, scores=two.scores[:1] * 2)
    assert "None of the 3 classes tells them apart by itself." in same.verdict


def test_of_many_the_exceptions_are_named() -> None:
    plain = comparison_at([(5, 15), (5, 14), (5, 16)], n=600, labels=True)
    assert "In none of the 3 classes is another surely lower than m1." in plain.verdict
    assert "Surely lower than m1 within a class: m0 on class 2." in shifted(plain, "m1", 2, 1.7).verdict


@pytest.mark.slow
def test_no_more_false_alarms_over_all_models_and_classes_than_promised() -> None:
    """Eight models that differ by noise alone, in three classes: 21 chances to err, each 5% by itself."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        comparison = comparison_at([(5, 15)] * 8, n=90, labels=True, noise=0.0)
        scores = [
            replace(score, distortion_nats=15 + rng.normal(size=comparison.n)) for score in comparison.scores
        ]
        found = by_class(replace(comparison, scores=tuple(scores)), "m0")
        assert found is not None
        wrong += any(any(found.signs(name)) for name in found.differences)
    assert wrong <= 18  # binomial(200, 0.05) exceeds it once in 200


def test_without_labels_or_a_second_class_there_is_nothing_to_say(two: Comparison) -> None:
    assert replace(two, labels=None).analysis.classes is None
    assert replace(two, labels=np.zeros(two.n, np.int64)).analysis.classes is None
    assert comparison_at([(5, 15)], labels=True).analysis.classes is None
    assert "lass" not in replace(two, labels=None).table()


def test_it_is_in_the_terminal_the_document_and_the_report(two: Comparison) -> None:
    assert [line.split()[-1] for line in two.table().splitlines() if line.strip()[:5] in ("0    ", "1    ")]
    document = json.loads("".join(json_stream.text(to_document(two.analysis))))["classes"]
    found = two.analysis.classes
    assert found is not None
    assert document["reference"] == "m1"
    assert [one["mean"] for one in document["models"][0]["weighted"]] == [
        one.mean for one in found.differences["m0"]
    ]
    html = report.render(two.analysis)
    assert "Class by class</h2>" in html
    assert "surely lower</span>" in html


def test_of_very_many_classes_the_largest_are_shown() -> None:
    comparison = comparison_at(CROWDED[:2], n=400)
    labels = np.minimum(np.arange(400), 30)
    found = replace(comparison, labels=labels).analysis.classes
    assert found is not None
    few = found.largest(3)
    assert few.labels == (28, 29, 30)
    assert few.sizes == (1, 1, 370)
    ((name, differences),) = few.differences.items()
    assert differences[2] == found.differences[name][30]
    assert replace(comparison, labels=labels).verdict
