"""Images that depend on one another: errors, intervals, tests and stopping by groups of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from points import MODEL, comparison_at, comparison_of
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo
from rdserve.compare.analysis.caution import cautions
from rdserve.compare.analysis.gate import Limits, gate
from rdserve.compare.analysis.pairs import pairs
from rdserve.compare.analysis.stopping import stopping_status
from rdserve.compare.comparison import Comparison
from rdserve.compare.export import write_data
from rdserve.compare.group_ids import as_group_ids, looks, shuffled
from rdserve.compare.rebuilt import contradictions
from rdserve.compare.rebuilt_page import altered
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import to_document
from rdserve.compare.render.html import report
from rdserve.compare.render.verdict import answer
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.equivalence import equivalence
from rdserve.compare.statistics.groups import by_group, effective
from rdserve.compare.statistics.paired import difference, per_class
from rdserve.compare.statistics.sequential import START
from scipy import stats

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# binomial(300, 0.05) exceeds it once in 200.
SIMULATED, MOST_WRONG = 300, 25


def dependent(rng: np.random.Generator, sizes: Int64, shape: tuple[int, ...], share: float = 0.5) -> Float64:
    """(*shape, N): of the variance of each value, 1, a share is its group's."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    own = rng.normal(size=(*shape, len(codes)))
    return share**0.5 * rng.normal(size=(*shape, len(sizes)))[..., codes] + (1 - share) ** 0.5 * own


def grouped(values: Float64, sizes: Int64, **changes: Any) -> Comparison:
    comparison = comparison_of(values)
    return replace(comparison, group_ids=np.repeat(np.arange(len(sizes)), sizes), **changes)


@pytest.fixture(scope="module")
def forty() -> Comparison:
    """Three models on 200 images, of 40 groups in any order."""
    ids = np.random.default_rng(0).permutation(np.arange(200) // 5)
    return replace(comparison_at([(5, 15), (5.3, 14.5), (9, 20)], n=200, labels=True), group_ids=ids)


def document_of(comparison: Comparison) -> dict[str, Any]:
    read: dict[str, Any] = json.loads("".join(json_stream.text(to_document(comparison.analysis))))
    return read


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_strong_groups_deceive_the_ordinary_interval_and_not_the_clustered_one(spread: float) -> None:
    """Of 30 groups of some ten images, of one size and of very unequal sizes."""
    rng = np.random.default_rng(int(spread))
    wrong, naive = 0, 0
    for _ in range(SIMULATED):
        sizes = np.maximum(1, 10 * np.exp(spread * rng.normal(size=30) - spread / 2)).astype(int)
        values = dependent(rng, sizes, (2,))
        ids = np.repeat(np.arange(30), sizes)
        wrong += difference(*values, groups=ids).sign != 0
        naive += difference(*values).sign != 0
    assert wrong <= MOST_WRONG
    assert naive > 0.3 * SIMULATED


@pytest.mark.parametrize("count", [2, 5])
def test_of_equal_models_on_groups_nothing_is_sure_in_more_than_five_percent(count: int) -> None:
    rng, sizes = np.random.default_rng(count), np.full(40, 8)
    draws = [grouped(dependent(rng, sizes, (count, 2)), sizes) for _ in range(SIMULATED)]
    assert sum(bool(pairs(one).signs.any()) for one in draws) <= MOST_WRONG
    assert sum(bool(pairs(replace(one, group_ids=None)).signs.any()) for one in draws) > 0.3 * SIMULATED


def test_groups_of_one_are_no_groups(forty: Comparison) -> None:
    """To rounding, everything."""
    alone = replace(forty, group_ids=np.arange(200)[::-1].copy())
    ours, plain = document_of(alone), document_of(replace(forty, group_ids=None))
    assert ours["data"].pop("n_groups") == 200
    for document in (ours, plain):
        document["data"].pop("n_groups", None)
        del document["signature"], document["examples"]
    flat, other = (list(numbers(document)) for document in (ours, plain))
    np.testing.assert_allclose(flat, other, rtol=1e-9, atol=1e-12)


def numbers(value: Any) -> Any:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, float):
        yield value


def test_groups_of_one_size_are_the_test_of_their_means() -> None:
    rng, sizes = np.random.default_rng(0), np.full(12, 7)
    a, b = dependent(rng, sizes, (2,))
    found = difference(a, b, groups=np.repeat(np.arange(12), 7))
    means = (a - b).reshape(12, 7).mean(1)
    plain = stats.ttest_1samp(means, 0)
    assert found.p_value == pytest.approx(plain.pvalue)
    assert tuple(found.interval) == pytest.approx(tuple(plain.confidence_interval(0.95)))
    assert (found.n, found.wins + found.ties + found.losses) == (84, 84)


def test_copies_of_an_image_tell_no_more_than_the_image() -> None:
    one = np.random.default_rng(0).normal(size=(2, 2, 50))
    copies = grouped(np.repeat(one, 4, axis=-1), np.full(50, 4))
    for quantity in ("rate", "distortion", "total", "weighted"):
        ours, alone = (getattr(pairs(c)[0], quantity) for c in (copies, comparison_of(one)))
        assert ours.standard_error == pytest.approx(alone.standard_error)
        assert tuple(ours.interval) == pytest.approx(tuple(alone.interval))
    assert copies.analysis.rows[0].rate_standard_error_nats == pytest.approx(
        comparison_of(one).analysis.rows[0].rate_standard_error_nats
    )
    (ours_at, _), (alone_at, _) = copies.analysis.ellipses, comparison_of(one).analysis.ellipses
    assert ours_at is not None
    assert alone_at is not None
    assert ours_at.semi_axes == pytest.approx(alone_at.semi_axes)


def test_a_group_value_keeps_the_mean_and_is_linear() -> None:
    rng = np.random.default_rng(0)
    a, b, ids = rng.normal(size=90), rng.normal(size=90), rng.integers(0, 11, 90)
    assert by_group(a, ids).mean() == pytest.approx(a.mean())
    np.testing.assert_allclose(by_group(a - 2 * b, ids), by_group(a, ids) - 2 * by_group(b, ids), atol=1e-12)
    assert effective(np.repeat([1, 2, 3], [10, 10, 10])) == pytest.approx(3)
    assert effective(np.repeat([1, 2, 3], [28, 1, 1])) == pytest.approx(900 / 786)


def test_one_group_gives_no_interval() -> None:
    found = difference([1.0, 2.0, 3.0], [0.0, 0.0, 1.0], groups=np.zeros(3, np.int64))
    assert tuple(found.interval) == (-np.inf, np.inf)
    assert np.isnan(found.p_value)


def test_classes_equivalence_and_the_gate_are_by_groups() -> None:
    rng, sizes = np.random.default_rng(1), np.full(40, 8)
    values = dependent(rng, sizes, (2, 2), 0.9)
    ids, labels = np.repeat(np.arange(40), 8), np.repeat(np.arange(40) % 2, 8)
    a, b = values[:, 0]
    within = per_class(a, b, labels, groups=ids)[1]
    assert within == difference(a[labels == 1], b[labels == 1], groups=ids[labels == 1])
    tests = [equivalence(a, b, margin=0.3, groups=of) for of in (None, ids)]
    assert tests[1].interval.high - tests[1].interval.low > 2 * (
        tests[0].interval.high - tests[0].interval.low
    )
    assert tests[1].p_value > tests[0].p_value
    comparison = grouped(values, sizes)
    wide, narrow = (
        gate(one, "m0", Limits(rate_increase=0.1))
        for one in (comparison, replace(comparison, group_ids=None))
    )
    width = [
        check.difference.interval.high - check.difference.interval.low
        for check in (*wide.checks, *narrow.checks)
    ]
    assert width[0] > 2 * width[1]
    assert wide.sample == "320 images in 40 groups"


def test_every_output_says_how_many_groups(forty: Comparison, tmp_path: Path) -> None:
    assert forty.analysis.title.endswith("200 images in 40 groups)")
    assert "on 200 images in 40 groups, " in answer(forty.analysis)
    assert "over 200 images in 40 groups" in forty.table()
    assert "|groups:40@" in forty.analysis.signature
    document = document_of(forty)
    assert document["data"]["n_groups"] == 40
    html = report.render(forty.analysis)
    assert "over 200 images in 40 groups" in html
    assert "the 40 groups (cluster-robust)" in html
    write_data(forty.analysis, None, tmp_path)
    heads, first, *_ = (tmp_path / "examples.csv").read_text().splitlines()
    assert heads.endswith(",group")
    assert first.endswith(f",{forty.group_ids[0]}")  # type: ignore[index]


def test_what_was_written_is_built_again_with_its_groups(forty: Comparison) -> None:
    document = document_of(forty)
    assert contradictions(document) == []
    assert altered(report.render(forty.analysis), forty) == []
    ids = document["examples"]["group_ids"]
    ids[0], other = next(one for one in ids if one != ids[0]), ids[0]
    assert ids[0] != other
    assert any("standard_error_nats is given as" in line for line in contradictions(document))
    document["examples"]["group_ids"] = None
    assert any("n_groups is given as 40" in line for line in contradictions(document))


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ([10] * 12, "only 12 groups of images: below 30"),
        ([200] + [2] * 60, "only 61 groups, of sizes so unequal that they are worth 3, of images"),
        ([10] * 30, None),
    ],
)
def test_few_groups_carry_a_warning(sizes: list[int], says: str | None) -> None:
    comparison = grouped(np.random.default_rng(0).normal(size=(2, 2, sum(sizes))), np.array(sizes))
    found = cautions(comparison, comparison.pairs)
    only = [line for line in found if line.startswith("only")]
    assert len(only) == bool(says)
    assert all(line.startswith(str(says)) for line in only)


def test_recipes_are_by_groups() -> None:
    rng, sizes = np.random.default_rng(2), np.full(40, 8)
    values = dependent(rng, sizes, (6, 2), 0.9) + np.repeat([[5.0], [6.0]], 3, axis=0)[:, :, None]
    models: list[ModelInfo] = [
        replace(MODEL, name=f"{at}-s{seed}", recipe={"at": at}, training_seed=seed)
        for at in "ab"
        for seed in range(3)
    ]
    comparison = grouped(values, sizes, models=tuple(models), by="recipe")
    ours, plain = comparison.analysis.recipes, replace(comparison, group_ids=None).analysis.recipes
    assert ours is not None
    assert plain is not None
    assert ours.pairs[0].rate.from_images > 2 * plain.pairs[0].rate.from_images
    assert ours.pairs[0].rate.from_runs == pytest.approx(plain.pairs[0].rate.from_runs)


def test_a_sequence_is_of_groups_and_says_what_it_would_take() -> None:
    """Nothing before 300 groups; then the clustered sequence holds where the ordinary one errs."""
    rng, sizes = np.random.default_rng(3), np.full(START, 4)
    values = dependent(rng, sizes, (2, 2))
    values[1] += 3
    early = grouped(values[..., :400], sizes[:100], method="sequential")
    status = stopping_status(early.analysis)
    assert (status.settled, status.more_needed) == (False, 4 * (START - 100))
    assert answer(early.analysis).endswith("some 800 more would settle it if means and deviations stay.")
    whole = grouped(values, sizes, method="sequential")
    assert stopping_status(whole.analysis).settled
    assert answer(whole.analysis).endswith("Settled after 1200 images of 300 groups.")
    assert any("begins at 300" in line for line in cautions(early, early.pairs))


def test_sequences_of_dependent_images_err_in_five_percent_at_any_look() -> None:
    rng, sizes, wrong, naive = np.random.default_rng(4), np.full(450, 6), 0, 0
    for _ in range(100):
        whole = grouped(dependent(rng, sizes, (2, 2)), sizes, method="sequential")
        wrong += any(sure(part(whole, n)) for n in (1800, 2100, 2400, 2700))
        naive += any(sure(part(replace(whole, group_ids=None), n)) for n in (600, 1200, 1800, 2400, 2700))
    assert wrong <= 11  # binomial(100, 0.05) exceeds it once in 200
    assert naive > 20


def sure(scored: ScoreSet) -> bool:
    return bool(pairs(scored).signs[2:].any())


def part(comparison: Comparison, n: int) -> Comparison:
    """The first n images."""
    values = np.array([[score.rate_nats[:n], score.distortion_nats[:n]] for score in comparison.scores])
    ids = None if comparison.group_ids is None else comparison.group_ids[:n]
    return replace(comparison_of(values), group_ids=ids, method=comparison.method)


def test_looks_are_at_the_ends_of_groups() -> None:
    groups = np.repeat(np.arange(4), [30, 80, 5, 60])
    assert list(looks(175, groups, 100)) == [110, 175]
    assert list(looks(175, groups, 1)) == [30, 110, 115, 175]
    assert list(looks(175, None, 100)) == [100, 175]
    assert list(looks(30, groups[:30], 500)) == [30]


def test_shuffled_groups_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 20, 100)
    order = shuffled(100, groups, np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(100))
    assert 1 + np.count_nonzero(np.diff(groups[order])) == len(np.unique(groups))
    assert (groups[order] != np.sort(groups)).any()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: as_group_ids([1, 2], 3), r"one group id per image: 3 images, group ids of shape \(2,\)"),
        (lambda: as_group_ids([0.5, 1.0], 2), "whole numbers or names, got float64"),
        (
            lambda: replace(comparison_at([(1, 2)], n=5), group_ids=np.arange(4)),
            "5 example ids.*'group ids': 4",
        ),
    ],
)
def test_ids_that_do_not_fit_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()
    assert as_group_ids(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert as_group_ids([7, -3, 7], 3).tolist() == [7, -3, 7]
