"""Coverage by simulation: 95% means 93 to 97%."""

from collections.abc import Callable

import numpy as np
import pytest
from rdserve.compare.statistics import intervals
from rdserve.compare.statistics.intervals import Float64

Draw = Callable[[np.random.Generator, tuple[int, int]], Float64]

# Differences of nats: symmetric, with heavy tails, and skewed as distortions are. All of mean 0.5.
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(0.5, 2, shape),
    "heavy tails": lambda rng, shape: 0.5 + rng.standard_t(4, shape),
    "skewed": lambda rng, shape: rng.exponential(0.5, shape),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [100, 1000])
def test_ninety_five_percent_means_so(shape: str, n: int) -> None:
    d = SHAPES[shape](np.random.default_rng(1), (4000, n))
    low, high = intervals.limits(d, 0.95)
    assert 0.93 < ((low <= 0.5) & (high >= 0.5)).mean() < 0.97


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_other_levels_too(level: float) -> None:
    d = np.random.default_rng(2).normal(size=(10_000, 30))
    low, high = intervals.limits(d, level)
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(level, abs=0.01)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    d = np.random.default_rng(4).normal(size=(10_000, 40))
    for alpha in (0.01, 0.05, 0.5):
        assert (intervals.p_differs(d) < alpha).mean() == pytest.approx(alpha, abs=0.012)
        assert (intervals.p_below(d, 0.0) < alpha).mean() == pytest.approx(alpha, abs=0.012)


@pytest.mark.parametrize("method", ["t", "sequential"])
def test_a_p_value_below_alpha_is_an_interval_without_zero(method: intervals.Method) -> None:
    d = np.random.default_rng(5).normal(0.2, 1, (2000, 300))
    low, high = intervals.limits(d, 0.95, method)
    np.testing.assert_array_equal(intervals.p_differs(d, method) < 0.05, (low > 0) | (high < 0))


@pytest.mark.parametrize("method", ["t", "sequential"])
def test_equal_values_are_sure(method: intervals.Method) -> None:
    assert intervals.interval(np.full(300, 2.0), 0.95, method) == (2, 2)
    assert intervals.p_differs(np.full(300, 2.0), method) == 0
    assert intervals.p_differs(np.zeros(300), method) == 1


def test_one_value_says_nothing() -> None:
    assert intervals.interval(np.ones(1), 0.95) == (-np.inf, np.inf)
    assert np.isnan(intervals.p_differs(np.ones(1)))
