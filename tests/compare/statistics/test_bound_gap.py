from dataclasses import replace

import numpy as np
import pytest
from points import MODEL
from rdserve.client.results import Encoding, Score
from rdserve.compare.statistics import latents
from rdserve.compare.statistics.bound_gap import identified, tightness

N, K, Z = 4000, 8, 3


def importance(gap: float, seed: int = 0) -> Score:
    """Log weights of deviation sqrt(2 gap): E log w lies `gap` below log E w = -20."""
    w = -20 - gap + (2 * gap) ** 0.5 * np.random.default_rng(seed).normal(size=(N, K))
    peak = w.max(1, keepdims=True)
    weights = np.exp(w - peak)
    bound = peak[:, 0] + np.log(weights.mean(1))
    ess = weights.sum(1) ** 2 / (weights**2).sum(1)
    return Score(np.full(N, 3.0), -w.mean(1) - 3, bound, ess, False)


def test_the_bound_lies_between_elbo_and_likelihood() -> None:
    found = tightness(importance(1.0), K)
    assert found is not None
    assert found.elbo.value == pytest.approx(-21, abs=0.05)
    assert -20.5 < found.bound.value < -20
    assert found.gap.value == pytest.approx(found.bound.value - found.elbo.value)
    assert 1 < found.effective_samples < K
    assert tightness(importance(1.0), 1) is None


def test_few_effective_samples_show() -> None:
    tight, loose = tightness(importance(0.05), K), tightness(importance(5.0), K)
    assert tight is not None
    assert loose is not None
    assert tight.effective_samples > 0.85 * K > loose.effective_samples
    assert tight.thin < 0.01 < loose.thin


def test_a_difference_below_the_gap_is_not_identified() -> None:
    a, b = tightness(importance(0.05), K), tightness(importance(1.0, seed=1), K)
    assert identified(-0.1, a, b) is False
    assert identified(-2.0, a, b) is True
    assert identified(-2.0, a, None) is None


def test_rate_of_a_gaussian_by_hand() -> None:
    rate = latents.gaussian_rate(np.array([0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(rate, [0, 0.5, np.log(2) - 0.375])


def encoding(mean: np.ndarray, scale: np.ndarray, k: int = K) -> Encoding:  # type: ignore[type-arg]
    noise = np.random.default_rng(1).normal(size=(len(mean), k, Z))
    drawn = mean[:, None] + scale[:, None] * noise
    return Encoding(*(a.astype(np.float32) for a in (mean, scale, drawn)))


def two_of_three_active() -> Encoding:
    mean = np.random.default_rng(0).normal(size=(N, Z)) * [1.0, 0.5, 0.001]
    return encoding(mean, np.sqrt(1 - np.array([1.0, 0.5, 0.001]) ** 2 * 0.9)[None].repeat(N, 0))


@pytest.mark.parametrize("family", ["---", "--v", "+--"])
def test_active_units(family: str) -> None:
    found = latents.latents(replace(MODEL, family=family), two_of_three_active())
    assert found.active.tolist() == [True, True, False]
    assert found.n_active == 2
    np.testing.assert_allclose(found.variance, [1, 0.25, 0], atol=0.06)
    assert (found.rate_nats is None) == (family == "+--")
    assert found.rate_is_of_the_model == (family == "---")
    if found.rate_nats is not None:
        assert found.rate_nats[2] < 1e-3 < found.rate_nats[1] < found.rate_nats[0]


def test_noise_of_the_samples_is_no_activity() -> None:
    """A collapsed flow: all images have one posterior, of deviation 1. Means of K = 16 vary by 1 / 16."""
    found = latents.latents(replace(MODEL, family="+--"), encoding(np.zeros((N, Z)), np.ones((N, Z)), k=16))
    assert found.n_active == 0
    with pytest.raises(ValueError, match="n_samples >= 2"):
        latents.latents(replace(MODEL, family="+--"), encoding(np.zeros((N, Z)), np.ones((N, Z)), k=1))


def test_collapsed() -> None:
    assert latents.collapsed(0.004)
    assert not latents.collapsed(6.2)
