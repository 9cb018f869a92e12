"""Identities of the paper's section 2 and appendix D, on models small enough to be exact."""

import math

import pytest
import torch
from rdserve.models.card_parts import Architecture
from rdserve.models.families import FAMILIES, build
from rdserve.models.rate_distortion import (
    RateDistortion,
    analytic_rate,
    distortion,
    effective_sample_size,
    evaluate,
    importance_bound,
    rate,
)
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, OneHotCategorical

Z = 3
ALL = (torch.arange(16)[:, None] >> torch.arange(4) & 1).double().view(16, 2, 2)  # every 2 x 2 image


class Table(VAE):
    """A discrete latent: m(z) and d(x|z) are tables, e(z|x) is the exact posterior or another table."""

    def __init__(self, posterior: Tensor | None = None) -> None:
        nn.Module.__init__(self)
        generator = torch.Generator().manual_seed(4)
        self.log_m = torch.randn(Z, generator=generator).double().log_softmax(0)
        self.pixel_logits = torch.randn(Z, 2, 2, generator=generator).double()
        self.log_joint = self.log_m + Independent(Bernoulli(logits=self.pixel_logits), 2).log_prob(
            ALL[:, None]
        )  # (16, Z)
        self.log_p = self.log_joint.logsumexp(1)
        self.log_e = (self.log_joint if posterior is None else posterior).log_softmax(1)

    def encoder(self, x: Tensor) -> Distribution:
        rows = (ALL[None] == x[:, None]).all(-1).all(-1).double().argmax(1)
        return OneHotCategorical(logits=self.log_e[rows])

    def marginal(self) -> Distribution:
        return OneHotCategorical(logits=self.log_m)

    def decoder(self, z: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=torch.einsum("...z,zhw->...hw", z, self.pixel_logits)), 2)


def sampled(distribution: Distribution, n: int) -> Tensor:
    return distribution.sample((n,))


def test_exact_posterior_gives_log_p_for_every_z() -> None:
    toy = Table()
    rd = evaluate(toy, ALL, 50, sampled)
    assert torch.allclose(rd.rate + rd.distortion, -toy.log_p.expand(50, 16), atol=1e-9)
    assert torch.allclose(importance_bound(rd), toy.log_p, atol=1e-9)
    assert torch.allclose(effective_sample_size(rd), torch.full((16,), 50.0).double())


@pytest.mark.slow
def test_bounds_on_mutual_information_and_entropy() -> None:
    """H - D <= I <= R and R + D >= H (eq. 2), all four by enumeration, for any encoder."""
    for seed in range(20):
        toy = Table(3 * torch.randn(16, Z, generator=torch.Generator().manual_seed(seed)).double())
        p, e = toy.log_p.exp(), toy.log_e.exp()  # data law: the model's own, so H is known
        joint = p[:, None] * e
        r = (joint * (toy.log_e - toy.log_m)).sum()
        d = -(joint * (toy.log_joint - toy.log_m)).sum()
        h = -(p * toy.log_p).sum()
        i = (joint * (toy.log_e - joint.sum(0).log())).sum()
        assert h - d <= i + 1e-12
        assert i <= r + 1e-12
        assert r >= 0
        assert r + d >= h - 1e-12
        rd = evaluate(toy, ALL, 20_000, sampled)
        assert (p * rd.expected_rate).sum().item() == pytest.approx(r.item(), abs=0.03)
        assert (p * rd.expected_distortion).sum().item() == pytest.approx(d.item(), abs=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_monte_carlo_rate_agrees_with_the_closed_form(family: str) -> None:
    torch.manual_seed(5)
    vae = build(Architecture(family=family, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=5))
    x = (torch.rand(3, 8, 8) < 0.3).float()
    with torch.no_grad():
        e, m = vae.encoder(x), vae.marginal()
        exact = analytic_rate(e, m)
        assert (exact is not None) == (family[0] == "-" and family[2] == "-")
        z = e.rsample((4000,))
        sampled_rate = rate(e, m, z)
        spread = 4 * sampled_rate.std(0) / math.sqrt(4000)
        if exact is not None:
            assert ((sampled_rate.mean(0) - exact).abs() < spread).all()
        assert (sampled_rate.mean(0) > -spread).all()  # R >= 0 on average


def test_closed_form_replaces_the_sampled_rate_only() -> None:
    rd = RateDistortion(torch.tensor([[1.0], [3.0]]), torch.tensor([[10.0], [20.0]]), torch.tensor([5.0]))
    assert rd.expected_rate == 5
    assert rd.objective(0.5) == 15 + 2.5
    assert rd._replace(exact_rate=None).objective() == 15 + 2


@pytest.mark.slow
def test_one_importance_sample_is_the_elbo_and_more_are_tighter() -> None:
    toy = Table(torch.zeros(16, Z).double())
    rd = evaluate(toy, ALL, 1, sampled)
    assert torch.equal(importance_bound(rd), -(rd.rate + rd.distortion)[0])
    bounds = [
        torch.stack([importance_bound(evaluate(toy, ALL, k, sampled)) for _ in range(400)]).mean(0)
        for k in (1, 2, 8, 32, 512)
    ]
    means = [(toy.log_p.exp() * bound).sum().item() for bound in bounds]
    assert means == sorted(means)
    assert means[-1] == pytest.approx((toy.log_p.exp() * toy.log_p).sum().item(), abs=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_returns_laws_of_the_documented_shape(family: str) -> None:
    vae = build(Architecture(family=family, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=5))
    x = torch.zeros(3, 8, 8)
    e, m, d = vae.encoder(x), vae.marginal(), vae.decoder(torch.zeros(2, 3, 4))
    assert (e.batch_shape, e.event_shape) == ((3,), (4,))
    assert (m.batch_shape, m.event_shape) == ((), (4,))
    assert (d.batch_shape, d.event_shape) == ((2, 3), (8, 8))
    assert distortion(d, x).shape == (2, 3)
    with pytest.raises(ValueError, match="support"):
        d.log_prob(x + 0.5)  # grey pixels have no Bernoulli likelihood
