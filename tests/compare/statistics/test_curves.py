import numpy as np
import pytest
from points import comparison_of
from rdserve.compare.analysis.dominance import dominated
from rdserve.compare.analysis.pairs import pairs
from rdserve.compare.statistics.curves import (
    bd_distortion_nats,
    bd_rate_nats,
    bd_rate_percent,
    excess_over_entropy,
)

CURVE = np.array([[2.0, 18.0], [5.0, 12.0], [10.0, 7.0], [18.0, 3.0]])


def test_bd_rate_of_a_published_example() -> None:
    """kbit/s and PSNR of the README of PyPI's `bjontegaard`, whose PCHIP gives this number."""
    a = [[9487.76, -40.037], [4593.60, -38.615], [2486.44, -36.845], [1358.24, -34.851]]
    b = [[9787.80, -40.121], [4469.00, -38.651], [2451.52, -36.970], [1356.24, -34.987]]
    assert bd_rate_percent(a, b) == pytest.approx(-4.417485350589045, rel=1e-12)


def test_shifted_curves() -> None:
    assert bd_rate_percent(CURVE, CURVE * [0.9, 1]) == pytest.approx(-10)
    assert bd_rate_nats(CURVE, CURVE + np.array([1.5, 0])) == pytest.approx(1.5)
    assert bd_distortion_nats(CURVE, CURVE - [0, 0.7]) == pytest.approx(-0.7)
    assert bd_rate_percent(CURVE, CURVE) == 0


def test_order_and_dominated_points_do_not_matter() -> None:
    worse = np.concatenate([CURVE[::-1], [[12.0, 12.5]]])
    assert bd_rate_nats(worse, CURVE) == 0


def test_curves_that_have_nothing_in_common() -> None:
    with pytest.raises(ValueError, match="no range in common"):
        bd_rate_nats(CURVE, CURVE + np.array([0, 100]))
    with pytest.raises(ValueError, match="two points"):
        bd_rate_nats(CURVE, CURVE[:1])
    with pytest.raises(ValueError, match="above 0 nats, got 0"):
        bd_rate_percent(CURVE - [2, 0], CURVE)


def test_area_over_the_entropy_line() -> None:
    """Two points a nat above D = 10 - R, and beyond R = H the line is D = 0."""
    found = excess_over_entropy([[0, 11], [10, 1]], 10)
    assert found == pytest.approx((10, 1, 0, 10))
    bent = excess_over_entropy([[8, 3], [12, 1]], 10)
    # Height 1 at R = 8, 2 at R = 10 where the line bends, 1 at R = 12.
    assert bent == pytest.approx((6, 1.5, 8, 12))


def test_area_is_that_under_the_hull() -> None:
    above = [[0, 11], [5, 9], [10, 1]]
    assert excess_over_entropy(above, 10) == excess_over_entropy([above[0], above[2]], 10)
    assert excess_over_entropy([[3, 9]], 10) == (0, 2, 3, 3)


def test_dominates_only_if_both_are_lower() -> None:
    rng = np.random.default_rng(0)
    low, high, same = (rng.normal(mean, 1, 400) for mean in (-0.3, 0.3, 0))

    def beats(rate: np.ndarray, distortion: np.ndarray) -> bool:  # type: ignore[type-arg]
        values = np.stack([[rate, distortion], np.zeros((2, 400))])
        return dominated(pairs(comparison_of(values))) == {"m1": "m0"}

    assert beats(low, low)
    assert not beats(low, high)
    assert not beats(low, same)


@pytest.mark.slow
def test_a_joint_claim_keeps_its_size() -> None:
    """Lower in R beyond doubt and equal in D: said in at most 5% of the cases; equal in both: in fewer."""
    d = np.random.default_rng(0).normal(size=(1000, 2, 50))
    far = d - [[5], [0]]
    shares = [
        np.mean([bool(dominated(pairs(comparison_of(np.stack([one, 0 * one]))))) for one in draws])
        for draws in (far, d)
    ]
    assert 0.005 < shares[0] < 0.05  # one side of a region that holds all weightings at once
    assert shares[1] < 0.01


def test_who_is_dominated_by_whom() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 5, (2, 300))
    places = [(1, 20), (5, 14), (1.5, 20.5), (1.005, 20.005)]
    values = [hard + np.array(at)[:, None] + rng.normal(0, 0.5, (2, 300)) for at in places]
    found = dominated(pairs(comparison_of(np.array(values))))
    assert found.keys() == {"m2"}
    assert found["m2"] in ("m0", "m3")
