import numpy as np
import pytest
from points import score
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import difference, per_class, weighted
from rdserve.compare.statistics.summaries import mean


def test_a_difference_that_the_means_hide() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 5, 400)
    a, b = hard + rng.normal(0, 0.5, 400), hard + 0.3 + rng.normal(0, 0.5, 400)
    found = difference(a, b)
    assert found.sign == -1
    assert found.interval.low < -0.3 < found.interval.high
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.standard_error < 0.1 * mean(a).standard_error * 2**0.5


def test_wins_ties_and_losses() -> None:
    found = difference([1, 2, 3, 4], [2, 2, 3.4, 1])
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)


def test_one_example_decides_nothing() -> None:
    found = difference([1.0], [2.0])
    assert (found.mean, found.sign, found.wins) == (-1, 0, 1)
    assert np.isnan(found.p_value)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_values_must_pair(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        difference(a, b)


def test_weights_of_the_rate() -> None:
    one = score(np.array([1.0, 2.0]), np.array([10.0, 10.0]))
    np.testing.assert_array_equal(weighted(one, 0.5), [10.5, 11])
    np.testing.assert_array_equal(weighted(one, 1.0), -one.elbo_nats)


def test_an_effect_in_one_class_only() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 7], 100)
    b = rng.normal(size=300)
    a = b + rng.normal(0, 0.1, 300) - 0.2 * (labels == 7)
    found = per_class(a, b, labels)
    assert list(found) == [0, 1, 7]
    assert [d.n for d in found.values()] == [100] * 3
    assert [d.p_value < 0.01 for d in found.values()] == [False, False, True]
    with pytest.raises(ValueError, match="one label per example"):
        per_class(a, b, labels[:-1])


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.02]), [0.02, np.nan, 0.02])
    assert holm([]).size == 0


def test_holm_keeps_the_family_wise_error() -> None:
    """Five true nulls beside five real effects: without Holm some null falls in 23% of the cases."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 10)) + np.array([0.0] * 5 + [4.0] * 5)
    from scipy.stats import norm

    p = 2 * norm.sf(np.abs(z))
    raw = (p[:, :5] < 0.05).any(1).mean()
    adjusted = np.array([holm(row) for row in p])
    assert raw > 0.2
    assert (adjusted[:, :5] < 0.05).any(1).mean() <= 0.055
    bonferroni = (p[:, 5:] < 0.05 / 10).mean()
    assert (adjusted[:, 5:] < 0.05).mean() > bonferroni
