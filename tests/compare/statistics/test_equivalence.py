import numpy as np
import pytest
from rdserve.compare.statistics.equivalence import equivalence

N, MARGIN = 100, 0.3


def outcomes(mean: float, repeats: int = 1000) -> dict[str, float]:
    """Shares of the outcomes for differences of this mean and deviation 1."""
    rng = np.random.default_rng(0)
    d = rng.normal(mean, 1, (repeats, N))
    found = [equivalence(row, np.zeros(N), margin=MARGIN).outcome for row in d]
    return {name: found.count(name) / repeats for name in ("equivalent", "different", "undecided")}


@pytest.mark.slow
def test_size() -> None:
    """At the margin itself, the worst of the not equivalent, at most 5% are called equivalent."""
    assert 0.03 < outcomes(MARGIN)["equivalent"] < 0.07
    assert 0.03 < outcomes(-MARGIN)["equivalent"] < 0.07


@pytest.mark.slow
def test_power() -> None:
    # Analytic for means known to 0.1: 2 Phi(0.3 / 0.1 - 1.66) - 1 = 0.82.
    assert outcomes(0.0)["equivalent"] == pytest.approx(0.82, abs=0.04)
    assert outcomes(1.0)["different"] > 0.99
    assert outcomes(0.3)["undecided"] > 0.9


def test_the_p_value_and_the_interval_say_the_same() -> None:
    rng = np.random.default_rng(1)
    for row in rng.normal(0.1, 1, (300, N)):
        found = equivalence(row, np.zeros(N), margin=MARGIN)
        inside = found.interval.low > -MARGIN and found.interval.high < MARGIN
        assert inside == (found.p_value < 0.05) == (found.outcome == "equivalent")


def test_identical_scores_are_equivalent_to_any_margin() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert equivalence(values, values, margin=1e-9).outcome == "equivalent"
    assert equivalence(values + 0.1, values, margin=1e-3).outcome == "different"


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_a_margin_is_above_zero(margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        equivalence([1.0, 2.0], [1.0, 2.0], margin=margin)
