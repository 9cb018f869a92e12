import numpy as np
import pytest
from rdserve.compare.statistics.ellipse import confidence_ellipse

MIX = np.array([[2.0, 0.0], [-1.5, 0.7]])


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    values = rng.normal(size=(n, 2)) @ MIX.T + [5, 12]
    return values[:, 0], values[:, 1]


@pytest.mark.parametrize("n", [5, 200])
def test_it_holds_the_true_point_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        ellipse = confidence_ellipse(*draw(rng, n))
        assert ellipse is not None
        away = np.subtract((5, 12), ellipse.centre)
        turn = np.array(
            [[np.cos(ellipse.angle), np.sin(ellipse.angle)], [-np.sin(ellipse.angle), np.cos(ellipse.angle)]]
        )
        held += ((turn @ away / ellipse.semi_axes) ** 2).sum() <= 1
    assert 0.93 <= held / 2000 <= 0.97


def test_it_leans_as_rate_and_distortion_do() -> None:
    rate = np.random.default_rng(0).normal(size=100)
    ellipse = confidence_ellipse(rate, -rate)
    assert ellipse is not None
    assert abs(np.tan(ellipse.angle) + 1) < 1e-6
    assert ellipse.semi_axes[1] < 1e-6 < ellipse.semi_axes[0]


def test_its_outline_is_on_it() -> None:
    rate, distortion = draw(np.random.default_rng(1), 100)
    ellipse = confidence_ellipse(rate, distortion)
    assert ellipse is not None
    away = ellipse.outline() - ellipse.centre
    inverse = np.linalg.inv(np.cov(rate, distortion) / 100)
    distance = np.einsum("ni,ij,nj->n", away, inverse, away)
    np.testing.assert_allclose(distance, distance[0])


def test_two_examples_have_none() -> None:
    assert confidence_ellipse(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
