"""Sparse codes: the law, its divergence, and the VAE over it."""

import pytest
import torch
from rdserve.models.card_parts import Architecture
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.distributions.spike_slab import SpikeSlab
from rdserve.models.families import SPARSE_FAMILIES, build
from rdserve.models.ops import encode, sample, score
from rdserve.models.rate_distortion import evaluate_with_codes
from rdserve.models.vae import VAE
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

N = 400_000


def law(seed: int, *shape: int) -> SpikeSlab:
    g = torch.Generator().manual_seed(seed)
    spike, loc, scale = (torch.randn(3, *shape, generator=g, dtype=torch.float64)).unbind()
    return SpikeSlab(1.5 * spike, loc, scale.exp())


def keys(n: int) -> NoiseKeys:
    return NoiseKeys(torch.zeros(n, dtype=torch.int64), torch.arange(n))


@pytest.mark.parametrize("seed", range(4))
def test_the_divergence_is_the_mean_of_the_log_ratio(seed: int) -> None:
    """Against Monte Carlo, for laws that differ in every parameter."""
    q, p = law(seed, 5), law(seed + 100, 5)
    torch.manual_seed(seed)
    z = q.sample((N,))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / N**0.5
    assert ((ratio.mean(0) - kl_divergence(q, p)).abs() < 5 * error).all()


def test_the_divergence_written_out() -> None:
    """gamma [log(s'/s) + (s^2 + (mu - mu')^2) / (2 s'^2) - 1/2], and that of the spikes."""
    q, p = law(1, 50), law(2, 50)
    g, h = q.active, p.active
    slabs = torch.log(p.scale / q.scale) - 0.5
    slabs = slabs + (q.scale**2 + (q.loc - p.loc) ** 2) / (2 * p.scale**2)
    spikes = (1 - g) * torch.log((1 - g) / (1 - h)) + g * torch.log(g / h)
    torch.testing.assert_close(kl_divergence(q, p), g * slabs + spikes)
    assert (kl_divergence(q, p) > 0).all()
    torch.testing.assert_close(kl_divergence(q, q), torch.zeros(50).double())


def test_moments_and_mode() -> None:
    q = law(3, 4)
    torch.manual_seed(0)
    z = q.sample((N,))
    torch.testing.assert_close((z != 0).double().mean(0), q.active, atol=5e-3, rtol=0)
    torch.testing.assert_close(z.mean(0), q.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), q.variance, atol=0, rtol=0.02)
    assert torch.equal(q.mode, torch.where(q.active > 0.5, q.loc, 0.0))


def test_a_spike_that_is_always_on_is_a_gaussian() -> None:
    q = SpikeSlab(torch.tensor(40.0), torch.tensor(0.3), torch.tensor(2.0))
    z = torch.linspace(-3, 3, 8)
    torch.testing.assert_close(q.log_prob(z), Normal(0.3, 2.0).log_prob(z))
    torch.testing.assert_close(q.variance, torch.tensor(4.0))


def test_draws_by_key_are_exactly_sparse_and_follow_the_law() -> None:
    q = law(4, 3)
    z = draw(Independent(q, 1), Noise(keys(1), Purpose.PRIOR), 50_000)[:, 0]
    torch.testing.assert_close((z != 0).double().mean(0), q.active, atol=0.01, rtol=0)
    torch.testing.assert_close(z.mean(0), q.mean, atol=0.05, rtol=0)
    fewer = draw(Independent(q, 1), Noise(keys(1), Purpose.PRIOR), 7)[:, 0]
    assert torch.equal(fewer, z[:7])


def test_the_gradient_reaches_the_spikes() -> None:
    """A latent that hurts is switched off."""
    spike = torch.zeros(64, requires_grad=True)
    torch.manual_seed(0)
    z = SpikeSlab(spike, torch.full((64,), 2.0), torch.full((64,), 0.1)).rsample((500,))
    assert set(torch.unique(z == 0).tolist()) == {True, False}
    z.square().mean().backward()
    assert spike.grad is not None
    assert (spike.grad > 0).all()


@pytest.fixture(params=SPARSE_FAMILIES)
def vae(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(0)
    return build(Architecture(family=request.param, image_size=8, latent_dim=6, width=0.1, active_share=0.3))


IMAGES = (torch.rand(12, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.4).float()


@torch.inference_mode()
def test_rates_are_exact_and_no_less_than_zero(vae: VAE) -> None:
    one, two = score(vae, IMAGES, keys(12), 1), score(vae, IMAGES, keys(12), 2)
    assert one.rate_is_exact
    assert (one.rate >= 0).all()
    torch.testing.assert_close(one.rate, two.rate)
    e, m = vae.encoder(IMAGES), vae.marginal()
    z = draw(e, Noise(keys(12), Purpose.POSTERIOR), 4000)
    sampled: Tensor = (e.log_prob(z) - m.log_prob(z)).mean(0)
    torch.testing.assert_close(sampled, one.rate, atol=0.15, rtol=0)


@torch.inference_mode()
def test_codes_are_sparse(vae: VAE) -> None:
    drawn, encoding = sample(vae, keys(500), 1).latents, encode(vae, IMAGES, keys(12), 3)
    assert (drawn != 0).float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (encoding.latents == 0).any()
    assert ((encoding.mode == 0) == (vae.encoder(IMAGES).base_dist.spike <= 0)).all()


def test_every_weight_learns(vae: VAE) -> None:
    rd = evaluate_with_codes(vae, IMAGES, 1, lambda e, k: draw(e, Noise(keys(12), Purpose.POSTERIOR), k)).rd
    rd.objective().mean().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
