"""Bounds on what the code tells, against cases whose answer is known."""

from math import exp, log
from pathlib import Path

import pytest
import torch
from rdserve.models import checkpoint, code_density
from rdserve.models.card_parts import Architecture
from rdserve.models.code_density import CodeDensity
from rdserve.models.codes import codes
from rdserve.models.components.marginals import SparseMarginal
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.distributions.spike_slab import SpikeSlab
from rdserve.models.families import FAMILIES, build
from rdserve.models.information import OTHERS, Encoded, MonteCarloMean, encoded, generated
from rdserve.models.networks.flows import MeanOnlyFlow
from rdserve.models.toy.laws import N, mutual_information, toy_source
from rdserve.models.toy.vae import laws
from rdserve.models.vae import VAE, frozen
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal, TransformedDistribution
from torch.nn import functional as F

ZOO = Path(__file__).parents[2] / "zoo/toy"
NOISE, SPREAD = 0.5, 2.0  # of x given z; of z given the posterior's own


class Line(nn.Module):
    """N(slope * x, scale^2) of each number of the last `event` axes, through a flow where there is one."""

    def __init__(self, slope: float, scale: float, event: int, flow: MeanOnlyFlow | None = None) -> None:
        super().__init__()
        self.slope, self.scale, self.event, self.flow = slope, scale, event, flow

    def forward(self, x: Tensor) -> Distribution:
        wanted = x.flatten(-2) if self.event == 1 else x.unsqueeze(-2)
        law = Independent(Normal(self.slope * wanted, torch.full_like(wanted, self.scale)), self.event)
        return law if self.flow is None else TransformedDistribution(law, [self.flow.transform])


class Standard(nn.Module):
    def forward(self) -> Distribution:
        return Independent(Normal(torch.zeros(1), torch.ones(1)), 1)


def gaussian(scale_factor: float = 1.0) -> VAE:
    """z ~ N(0, 1), x = z + noise; e is the true posterior, or wider by a factor."""
    variance = 1 + NOISE**2
    scale = scale_factor * (NOISE**2 / variance) ** 0.5
    return VAE(Line(1 / variance, scale, 1), Standard(), Line(1.0, NOISE, 2))


def keys(n: int, seed: int = 0) -> NoiseKeys:
    return NoiseKeys(torch.full((n,), seed), torch.arange(n))


def data(n: int, seed: int = 3) -> Tensor:
    """(n, 1, 1): draws of x = z + noise."""
    generator = torch.Generator().manual_seed(seed)
    return (1 + NOISE**2) ** 0.5 * torch.randn(n, 1, 1, generator=generator)


def fitted(vae: VAE, others: Tensor) -> CodeDensity:
    """To the codes of images that are not those of the test."""
    n = len(others)
    return code_density.fit(vae, others, NoiseKeys(torch.zeros(n).long(), OTHERS + torch.arange(n)))


def bounded(vae: VAE, x: Tensor, keys: NoiseKeys, others: int = 300) -> Encoded:
    """The encoder's side on numbers x (N, 1, 1), a density fitted to those of other noise."""
    return encoded(vae, x, keys, fitted(vae, data(others, seed=4)))


def close(mean: MonteCarloMean, value: float) -> bool:
    return abs(mean.value - value) < 4 * mean.standard_error + 1e-6


def below(a: MonteCarloMean | float, b: MonteCarloMean | float) -> bool:
    """Whether a may be at most b, as far as their standard errors tell."""
    first, second = (one if isinstance(one, MonteCarloMean) else MonteCarloMean(one, 0.0) for one in (a, b))
    return first.value - 4 * first.standard_error <= second.value + 4 * second.standard_error + 1e-6


def test_a_gaussian_channel_has_the_information_of_the_book() -> None:
    vae, information = gaussian(), 0.5 * log(1 + 1 / NOISE**2)
    found = bounded(vae, data(2000), keys(2000), 2000)
    assert close(found.low, information)
    assert close(found.high, information)
    assert found.low.value < found.high.value
    assert close(found.fitted, information)
    assert found.most.value == min(found.high.value, found.fitted.value, found.rate.value)
    assert close(found.mismatch_low, 0.0)  # e(z) is m(z)
    assert close(found.rate, information)
    made = generated(vae, keys(2000), 8)
    for bound in (made.e, made.low, made.high):
        assert close(bound, information)


@pytest.mark.slow
def test_a_poor_posterior_loosens_the_generators_bounds_and_samples_tighten_them() -> None:
    information = 0.5 * log(1 + 1 / NOISE**2)
    by_k = {k: generated(gaussian(SPREAD), keys(3000), k) for k in (1, 4, 64)}
    assert by_k[1].low.value == pytest.approx(by_k[1].e.value, abs=1e-6)
    lows, highs = ([getattr(by_k[k], side).value for k in by_k] for side in ("low", "high"))
    assert lows == sorted(lows)
    assert highs == sorted(highs, reverse=True)
    # E falls short by KL(true posterior || e), a Gaussian's of another width.
    assert close(by_k[1].e, information - (log(SPREAD) + 0.5 / SPREAD**2 - 0.5))
    assert lows[0] < information - 0.1 < highs[0] - 0.1
    assert close(by_k[64].low, information)
    assert close(by_k[64].high, information)


class ShownSpikes(nn.Module):
    """A pixel for each latent: on where the latent is not 0, with an error of sigmoid(-6)."""

    def forward(self, z: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=12.0 * (z != 0).float().unsqueeze(-2) - 6.0), 2)


class Blind(nn.Module):
    """The marginal, whatever x."""

    def __init__(self, marginal: SparseMarginal) -> None:
        super().__init__()
        self.marginal = marginal

    def forward(self, x: Tensor) -> Distribution:
        law = self.marginal().base_dist
        shape = (*x.shape[:-2], len(law.loc))
        return Independent(SpikeSlab(*(each.expand(shape) for each in (law.spike, law.loc, law.scale))), 1)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 16, 64])
def test_g_is_above_the_information_of_a_sparse_code(k: int) -> None:
    """x is made from a prior's spikes and scored under a posterior's: with shared words x would know them."""
    marginal, active, error = SparseMarginal(16, 0.3), 0.3, 1 / (1 + exp(6))

    def entropy(p: float) -> float:
        return -p * log(p) - (1 - p) * log(1 - p)

    exact = 16 * (entropy(active * (1 - error) + (1 - active) * error) - entropy(error))
    assert exact == pytest.approx(9.510, abs=1e-3)
    made = generated(VAE(Blind(marginal), marginal, ShownSpikes()), keys(2000), k)
    assert below(made.low, exact)
    assert made.high.value > exact


def test_few_images_cannot_tell_more_than_log_n() -> None:
    vae = VAE(Line(1.0, 1e-4, 1), Standard(), Line(1.0, NOISE, 2))
    found = bounded(vae, data(50), keys(50))
    assert found.saturated
    assert found.low.value == pytest.approx(found.ceiling) == pytest.approx(log(50))
    assert found.high.value > 2 * found.ceiling
    assert found.most in (found.rate, found.fitted)
    assert not bounded(gaussian(), data(50), keys(50)).saturated


def test_a_map_that_all_images_share_changes_no_information() -> None:
    torch.manual_seed(0)
    flow = MeanOnlyFlow(1, 4, 2)
    for parameter in flow.parameters():
        nn.init.normal_(parameter)
    plain, moved = gaussian(), gaussian()
    moved.encoder.flow = flow  # type: ignore[assignment]
    a, b = (bounded(vae, data(100), keys(100)) for vae in (plain, moved))
    assert (a.low, a.high) == (b.low, b.high)
    assert a.rate != b.rate


@pytest.mark.slow
@pytest.mark.parametrize("name", ["toy-hand-made", "toy-elbo", "toy-target-rate"])
def test_the_toy_has_the_bounds_that_its_tables_have(name: str) -> None:
    """H - D <= I <= R and E <= I_d <= G, all exact, beside their estimates from draws of x."""
    _, vae = checkpoint.load(ZOO / name)
    tables, p = laws(vae), toy_source().p
    drawn = torch.multinomial(p, 6000, replacement=True, generator=torch.Generator().manual_seed(0))
    x = F.one_hot(drawn, N).unsqueeze(1).float()
    found = encoded(frozen(vae), x[:3000], keys(3000), fitted(frozen(vae), x[3000:]))
    information = tables.information(p).item()
    assert toy_source().entropy.item() - tables.distortion(p).item() <= information + 1e-6
    assert information <= tables.rate(p).item() + 1e-6
    assert close(found.rate, tables.rate(p).item())
    assert close(found.distortion, tables.distortion(p).item())
    assert below(found.low, information)
    assert below(information, found.high)
    assert found.high.value - found.low.value < 0.03
    assert below(information, found.fitted)
    assert found.fitted.value - found.low.value < 0.03
    assert close(found.mismatch_low, tables.rate(p).item() - information)
    generator = mutual_information(tables.marginal.exp()[:, None] * tables.decoder.exp()).item()
    made = generated(frozen(vae), keys(3000), 16)
    assert below(made.e, made.low)
    assert below(made.low, generator)
    assert below(generator, made.high)
    assert made.high.value - made.low.value < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_bounds_and_they_depend_on_the_keys_only(family: str) -> None:
    torch.manual_seed(1)
    architecture = Architecture(family=family, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=5)
    vae = frozen(build(architecture).eval())
    x = (torch.rand(12, 8, 8) < 0.3).float()
    density = fitted(vae, (torch.rand(9, 8, 8) < 0.3).float())
    found = encoded(vae, x, keys(12), density)
    assert found.low.value <= found.ceiling
    assert below(found.low, found.high)
    assert below(found.low, found.fitted)
    assert found == encoded(vae, x, keys(12), density) != encoded(vae, x, keys(12, seed=1), density)
    made = generated(vae, keys(6), 3)
    assert below(made.e, made.low)
    assert below(made.low, made.high)


def test_one_image_is_no_mixture() -> None:
    with pytest.raises(ValueError, match="needs two"):
        bounded(gaussian(), data(1), keys(1))
    with pytest.raises(ValueError, match="got 1"):
        fitted(gaussian(), data(1))


def test_the_split_adds_up() -> None:
    found = bounded(gaussian(SPREAD), data(300), keys(300))
    assert found.low.value + found.mismatch_high.value == pytest.approx(found.rate.value, abs=1e-6)
    assert found.high.value + found.mismatch_low.value == pytest.approx(found.rate.value, abs=1e-6)


class Cross(nn.Module):
    """x (B, 1, Z) -> N(x, 0.02^2) of each number."""

    def forward(self, x: Tensor) -> Distribution:
        return Independent(Normal(x.flatten(-2), torch.full_like(x.flatten(-2), 0.02)), 1)


class Wide(nn.Module):
    """N(0, 1) of each of two numbers."""

    def forward(self) -> Distribution:
        return Independent(Normal(torch.zeros(2), torch.ones(2)), 1)


def on_a_line(n: int, seed: int) -> Tensor:
    """(n, 1, 2): two numbers that are nearly one, the second off by a deviation of 0.1."""
    a, b = torch.randn(2, n, generator=torch.Generator().manual_seed(seed))
    return torch.stack([a, a + 0.1 * b], -1)[:, None]


def test_a_density_of_codes_finds_the_information_where_images_are_too_few() -> None:
    """I of a Gaussian channel of two numbers is exact: beyond log n, and far below R."""
    vae, n = VAE(Cross(), Wide(), Line(1.0, NOISE, 2)), 200
    of_x = torch.tensor([[1.0, 1.0], [1.0, 1.01]])
    information = 0.5 * (torch.logdet(of_x + 0.02**2 * torch.eye(2)) - 2 * log(0.02**2)).item()
    density = fitted(vae, on_a_line(4000, 0))
    found = encoded(vae, on_a_line(n, 1), keys(n), density)
    assert information == pytest.approx(5.560, abs=1e-3)
    assert found.ceiling < information
    assert close(found.fitted, information)
    assert min(found.high.value, found.rate.value) > information + 1
    assert found.most == found.fitted
    assert density.weights.sum().item() == pytest.approx(1)


def test_a_density_of_codes_falls_short_of_the_marginal_by_little_anywhere() -> None:
    """Also at codes that none of its other parts has seen the like of: so its bound cannot explode."""
    vae = VAE(Cross(), Wide(), Line(1.0, NOISE, 2))
    far = codes(vae, on_a_line(50, 2) + torch.tensor([3.0, -3.0]), keys(50))
    density = fitted(vae, on_a_line(100, 0))
    assert (density.log_prob(far) >= far.log_m + log(code_density.LEAST_MARGINAL) - 1e-6).all()
    assert (far.log_e - density.parts[0](far.u) > 100).any()
