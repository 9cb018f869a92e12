import math

import numpy as np
import pytest
from rdserve.compare.statistics import intervals
from rdserve.compare.statistics.sequential import START, confidence_sequence, margin, more_needed


def crossed(d: np.ndarray, truth: float, level: float = 0.95) -> float:  # type: ignore[type-arg]
    """Share of the rows (B, N) whose interval ever leaves out the truth."""
    low, high = confidence_sequence(d, level)
    return float(((low > truth) | (high < truth)).any(-1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["normal", "heavy tails", "skewed"])
def test_covers_at_all_times_at_once(shape: str) -> None:
    rng, size = np.random.default_rng(0), (1000, 3000)
    draws = {
        "normal": rng.normal(0.5, 2, size),
        "heavy tails": 0.5 + rng.standard_t(4, size),
        "skewed": rng.exponential(0.5, size),
    }
    assert crossed(draws[shape], 0.5) < 0.05


def test_looking_at_ordinary_intervals_all_the_time_does_not() -> None:
    """Why the sequence is needed: stopping at the first t-interval without zero errs far more often."""
    d = np.random.default_rng(0).normal(size=(500, 2000))
    n = np.arange(START, 2001)
    z = d.cumsum(-1)[:, START - 1 :] / n**0.5
    assert (np.abs(z) > 1.96).any(-1).mean() > 0.3


def test_the_last_of_a_sequence_is_the_interval_of_all() -> None:
    for d in (np.random.default_rng(0).normal(7, 2, 900), np.random.default_rng(0).exponential(size=900)):
        low, high = confidence_sequence(d)
        assert intervals.interval(d, 0.95, "sequential") == pytest.approx((low[-1], high[-1]))


def test_numbers_far_from_zero_keep_their_digits() -> None:
    d = np.random.default_rng(0).normal(size=500)
    near, far = confidence_sequence(d), confidence_sequence(d + 1e6)
    np.testing.assert_allclose(far[0][START:] - 1e6, near[0][START:], atol=1e-7)


def test_says_nothing_at_first() -> None:
    assert intervals.interval(np.full(START - 1, 5.0), 0.95, "sequential") == (-np.inf, np.inf)
    assert more_needed(np.full(START - 1, 5.0)) == 1
    assert intervals.interval(np.full(START, 5.0), 0.95, "sequential").sign == 1


def values(n: int, mean: float) -> np.ndarray:  # type: ignore[type-arg]
    """Without skewness, and of deviation 1."""
    if n == 1:
        return np.array([mean])
    half = np.full(n // 2, 1.0 if n % 2 else ((n - 1) / n) ** 0.5)
    return mean + np.concatenate([half, -half, np.zeros(n % 2)])


def test_says_how_many_more() -> None:
    """The estimate settles it to the digit if mean and deviation stay."""
    more = more_needed(values(300, 0.1))
    assert more is not None
    assert more > 300
    for extra, sign in ((more, 1), (more - 2, 0)):
        assert intervals.interval(values(300 + extra, 0.1), 0.95, "sequential").sign == sign
    assert more_needed(values(300, 2.0)) == 0
    assert more_needed(values(100, 2.0)) == START - 100
    assert more_needed(values(300, 0.0)) is None
    assert more_needed(values(1, 1.0)) is None


def test_the_price_of_looking_at_any_time() -> None:
    """Some 1.6 times the fixed interval where it is tightest."""
    n = np.array([START, 500, 5000])
    assert (margin(n) * n**0.5 / 1.96 < [1.9, 1.65, 1.85]).all()
    assert (margin(n) * n**0.5 / 1.96 > 1.4).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["lognormal", "very lognormal", "rare and large", "one in thirty"])
def test_strongly_skewed_differences_err_no_more_often(shape: str) -> None:
    """From 200 on and without regard to skewness they erred in 7, 13, 15 and 10% of such runs."""
    rng, size = np.random.default_rng(0), (400, 4000)
    lognormal, normal, u = np.exp(rng.normal(size=size)), rng.normal(size=size), rng.random(size)
    d = {
        "lognormal": lognormal - math.exp(0.5),
        "very lognormal": lognormal**1.5 - math.exp(1.125),
        "rare and large": normal + 20 * (u < 0.01) - 0.2,
        "one in thirty": normal + 20 * (u < 1 / 30) - 20 / 30,
    }[shape]
    assert crossed(d, 0.0) < 0.05 + 0.02  # two standard errors of 400 runs
