import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.compare.statistics import intervals
from rdserve.compare.statistics.preference import Preference, preference

BETAS = np.concatenate([np.linspace(0, 3, 61), [10, 1e3, 1e6]])


def answers(found: Preference) -> list[str]:
    return [found.at(beta) for beta in BETAS]


@pytest.mark.slow
@given(
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.floats(0.01, 3),
    st.floats(0.01, 3),
    st.integers(2, 300),
    st.integers(0),
)
def test_the_stretches_are_those_of_brute_force(
    rate: float, distortion: float, wide: float, high: float, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    d_rate, d_distortion = rate + wide * rng.normal(size=n), distortion + high * rng.normal(size=n)
    found = preference(d_rate, d_distortion)
    for beta in BETAS:
        low, high = intervals.interval(d_distortion + beta * d_rate, 0.95)
        edge = min((abs(beta - s.low) for s in found.stretches), default=1.0)
        if edge > 1e-6 * (1 + beta):
            assert found.at(beta) == ("A" if high < 0 else "B" if low > 0 else "undecided")


def test_stretches_cover_all_betas_in_order() -> None:
    rng = np.random.default_rng(0)
    found = preference(-2 + rng.normal(size=500), 2 + rng.normal(size=500))
    assert [s.answer for s in found.stretches] == ["B", "undecided", "A"]
    assert found.stretches[0].low == 0
    assert found.stretches[-1].high == math.inf
    assert all(a.high == b.low for a, b in zip(found.stretches, found.stretches[1:], strict=False))
    assert found.crossing == pytest.approx(1, abs=0.1)
    ((low, high),) = found.where("undecided")
    assert low < found.crossing < high


def test_exact_differences_leave_nothing_undecided_but_the_crossing() -> None:
    found = preference(np.full(10, -2.0), np.full(10, 1.0))
    assert found.where("B") == [(0, 0.5)]
    assert found.where("A") == [(0.5, math.inf)]
    assert found.at(0.5) == "undecided"


def test_the_same_model_twice_is_undecided_everywhere() -> None:
    assert set(answers(preference(np.zeros(10), np.zeros(10)))) == {"undecided"}
    assert set(answers(preference(np.ones(1), np.ones(1)))) == {"undecided"}
    assert preference(np.zeros(10), np.zeros(10)).crossing is None


def test_lower_in_both_is_better_everywhere() -> None:
    found = preference(np.linspace(-2, -1, 9), np.linspace(-2, -1, 9))
    assert found.where("A") == [(0, math.inf)]
    assert found.crossing is None


@pytest.mark.slow
def test_the_crossing_is_covered() -> None:
    """Truth: B below beta 1, A above. The crossing lies in the undecided set in 95% of the cases."""
    rng = np.random.default_rng(0)
    hits = [
        preference(-0.3 + rng.normal(size=200), 0.3 + rng.normal(size=200)).at(1.0) == "undecided"
        for _ in range(2000)
    ]
    assert 0.93 < np.mean(hits) < 0.97


def test_simultaneous_answers_are_all_right_together() -> None:
    """Identical in truth: every answer A or B is wrong. One at a time they are wrong somewhere too often."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(1000, 2, 200))

    def wrong(simultaneous: bool) -> float:
        found = [preference(*d, simultaneous=simultaneous) for d in draws]
        return float(np.mean([any(s.answer != "undecided" for s in one.stretches) for one in found]))

    assert wrong(simultaneous=False) > 0.07
    assert wrong(simultaneous=True) < 0.06
