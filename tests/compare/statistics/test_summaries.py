import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from points import MODEL, rows_at, score
from rdserve.compare.statistics import frontier
from rdserve.compare.statistics import summaries as rows
from rdserve.compare.statistics.summaries import Float64

Points = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 9))


def test_standard_error_shrinks_as_the_root_of_n() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    one, many = rows.mean(values), rows.mean(np.tile(values, 10_000))
    assert one.value == many.value == 2.5
    assert one.standard_error == pytest.approx(values.std(ddof=1) / 2)
    assert many.standard_error == pytest.approx(values.std() / 200, rel=1e-4)


def test_one_example_has_no_standard_error() -> None:
    assert np.isnan(rows.mean([3.0]).standard_error)


@pytest.mark.parametrize("values", [[], [[1.0]]])
def test_a_mean_needs_examples(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one axis"):
        rows.mean(values)


def test_the_error_of_the_elbo_is_that_of_the_sums() -> None:
    rate = np.random.default_rng(0).normal(size=1000)
    row = rows.summarise([MODEL], [score(rate, 5 - rate)], n_samples=1)[0]
    assert row.elbo_nats == pytest.approx(-5)
    assert row.elbo_standard_error_nats == pytest.approx(0, abs=1e-12)
    assert row.rate_standard_error_nats > 0.02


def test_rows_go_along_the_frontier() -> None:
    rows = rows_at([(9, 9), (0, 20), (20, 0), (9.5, 30)], n=400)
    assert [row.name for row in rows] == ["m1", "m0", "m3", "m2"]
    assert [row.on_frontier for row in rows] == [True, True, False, True]


def test_different_examples_do_not_compare() -> None:
    a, b = score(np.ones(3), np.ones(3)), score(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match="different numbers"):
        rows.summarise([MODEL, MODEL], [a, b], n_samples=1)


@given(Points)
def test_a_point_is_on_the_frontier_unless_another_dominates_it(points: Float64) -> None:
    best = frontier.pareto(points)
    for point, on_frontier in zip(points, best, strict=True):
        dominated = any((other <= point).all() and (other < point).any() for other in points)
        assert on_frontier == (not dominated)


@given(Points, st.floats(0.01, 100))
def test_the_hull_holds_the_best_of_every_beta(points: Float64, beta: float) -> None:
    hull = frontier.convex_hull(points)
    cost = points[:, 1] + beta * points[:, 0]
    assert (hull[:, 1] + beta * hull[:, 0]).min() == pytest.approx(cost.min())


@given(Points)
def test_the_hull_is_convex_and_falls_along_the_rate(points: Float64) -> None:
    steps = np.diff(frontier.convex_hull(points), axis=0)
    assert (steps[:, 0] > 0).all()
    slopes = steps[:, 1] / steps[:, 0]
    assert (slopes < 0).all()
    assert (np.diff(slopes) > 0).all()


@given(Points)
def test_the_best_sum_bounds_all(points: Float64) -> None:
    assert (points.sum(1) >= frontier.entropy_bound(points)).all()
