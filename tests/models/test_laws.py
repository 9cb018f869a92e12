"""Every law by name: its mass, its draws, its divergences. A row's draw is its own."""

from collections.abc import Callable, Mapping
from math import exp, log

import numpy as np
import pytest
import torch
from law_cases import ROWS, PosteriorCase, colours, likelihoods, posteriors
from numpy.typing import NDArray
from rdserve.models.components import encoders
from rdserve.models.distributions.counts import LARGE, first_count, gamma, poisson
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.named_laws import likelihood, marginal
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from scipy import special, stats
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

K = 20_000
# Of 12 cells a law, and some 30 laws: by chance once in 30 runs, were the seeds not fixed.
LEAST_P = 1e-4
LIKELIHOODS, POSTERIORS = likelihoods(), posteriors()
COUNTING = [name for name, case in LIKELIHOODS.items() if case.outcomes]
DENSITIES = [name for name, case in LIKELIHOODS.items() if not case.outcomes]
ANY_CASE = {**LIKELIHOODS, "discretized_logistic_mixture_rgb": colours()}


def noise(purpose: Purpose, rows: int | slice = ROWS) -> Noise:
    """Of examples 0, 1, ..., or of the slice of them."""
    ids = torch.arange(rows) if isinstance(rows, int) else torch.arange(ROWS)[rows]
    return Noise(NoiseKeys(torch.full_like(ids, 7), ids), purpose)


def chi2(x: NDArray[np.int64], mass: NDArray[np.float64]) -> float:
    """p of draws x (K,) under mass (C,); cells in which fewer than 5 are expected count as one."""
    expected, counts = mass / mass.sum() * len(x), np.bincount(x, minlength=len(mass))
    rare = expected < 5
    pooled = [np.append(each[~rare], each[rare].sum()) for each in (counts, expected)]
    seen, due = (each[pooled[1] > 1e-9] for each in pooled)
    return float(stats.chi2.sf(((seen - due) ** 2 / due).sum(), max(1, len(due) - 1)))


def masses(law: Distribution, outcomes: int) -> Tensor:
    """(C, ...) of the independent entries."""
    values = torch.arange(outcomes, dtype=torch.float64)
    return law.base_dist.log_prob(values.view(-1, *(1 for _ in law.base_dist.batch_shape))).exp()


def cells(drawn: Tensor) -> Tensor:
    """(K, 12): draws of the entries, whatever their shape."""
    return drawn.flatten(1)


@pytest.mark.parametrize("name", COUNTING)
def test_mass_is_one_and_draws_follow_it(name: str) -> None:
    case = LIKELIHOODS[name]
    law = case.law(name)
    mass = masses(law, case.outcomes)
    torch.testing.assert_close(mass.sum(0), torch.ones(ROWS, 3).double(), atol=1e-6, rtol=0)
    x = cells(draw(law, noise(Purpose.PIXELS), K))
    columns = mass.flatten(1).T.numpy()
    assert min(map(chi2, x.long().T.numpy(), columns)) > LEAST_P
    # Draws of a law that is sharper by a fifth would be found out.
    assert min(map(chi2, x.long().T.numpy(), columns**1.2)) < LEAST_P


def ks(law: Distribution, x: Tensor, low: float, high: float) -> list[float]:
    """p of each entry's draws x (K, B, n), under the integral of the density from low to high."""
    at = torch.linspace(low, high, 100_001, dtype=torch.float64)
    density = law.base_dist.log_prob(at[:, None, None]).exp().flatten(1)
    cdf = torch.cumulative_trapezoid(density, at, dim=0)
    torch.testing.assert_close(cdf[-1], torch.ones_like(cdf[-1]), atol=1e-6, rtol=0)
    columns = zip(cells(x).T.numpy(), cdf.T.numpy(), strict=True)
    return [stats.kstest(np.interp(drawn, at[1:], each), "uniform").pvalue for drawn, each in columns]


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_integrate_to_one_and_draws_follow_them(name: str) -> None:
    law = LIKELIHOODS[name].law(name)
    low, high = (0.0, 1.0) if name == "continuous_bernoulli" else (-40.0, 40.0)
    x = draw(law, noise(Purpose.PIXELS), K)
    assert min(ks(law, x, low, high)) > LEAST_P
    assert min(ks(law, x.sign() * x.abs() ** 1.1, low, high)) < LEAST_P


def test_colours_follow_their_joint_law() -> None:
    """Mass and draws of all three channels of a pixel together."""
    case = colours()
    levels = 6
    grid = torch.cartesian_prod(*3 * [torch.arange(levels).double()])  # (C, 3)
    x = draw(case.law("discretized_logistic_mixture_rgb"), noise(Purpose.PIXELS), K)
    index = (x * torch.tensor([levels**2, levels, 1]).view(3, 1, 1)).sum(2).long().flatten(1)
    pixels = [
        likelihood(
            "discretized_logistic_mixture_rgb",
            {name: tensor[..., i : i + 1, :, :] for name, tensor in case.tensors.items()},
            case.arguments,
            (3, 1, 1),
        )
        for i in range(3)
    ]
    mass = torch.stack([law.log_prob(grid.view(-1, 1, 3, 1, 1)).exp() for law in pixels], -1)
    torch.testing.assert_close(mass.sum(0), torch.ones(ROWS, 3).double(), atol=1e-6, rtol=0)
    columns = mass.flatten(1).T.numpy()
    assert min(map(chi2, index.T.numpy(), columns)) > LEAST_P
    # Without the coupling it would be another law.
    uncoupled = case._replace(tensors={**case.tensors, "coefficients": 0 * case.tensors["coefficients"]})
    other = draw(uncoupled.law("discretized_logistic_mixture_rgb"), noise(Purpose.PIXELS), K)
    index = (other * torch.tensor([levels**2, levels, 1]).view(3, 1, 1)).sum(2).long().flatten(1)
    assert min(map(chi2, index.T.numpy(), columns)) < LEAST_P


@pytest.mark.parametrize("channel_axis", [0, 1, 2, -1])
def test_colours_written_out(channel_axis: int) -> None:
    """PixelCNN++'s equations in floats: pixel by pixel, channel by channel."""
    case = colours(256, (2, 4), 2)
    x = torch.randint(0, 256, (2, 3, 2, 4), generator=torch.Generator().manual_seed(0)).double()
    x[0, :, 0, 0], x[1, :, 0, 0] = torch.tensor([0.0, 255, 0]), torch.tensor([255.0, 0, 255])
    axis = 1 + channel_axis % 3
    there = {
        name: tensor if name == "mix_logits" else tensor.movedim(1, axis)
        for name, tensor in case.tensors.items()
    }
    moved = x.movedim(1, axis)
    arguments = {"levels": 256, "channel_axis": channel_axis}
    law = likelihood("discretized_logistic_mixture_rgb", there, arguments, tuple(moved.shape[1:]))
    expected = [
        sum(pixel(case.tensors, x, row, i, j) for i in range(2) for j in range(4)) for row in range(2)
    ]
    torch.testing.assert_close(law.log_prob(moved), torch.tensor(expected).double())


def pixel(tensors: Mapping[str, Tensor], x: Tensor, row: int, i: int, j: int) -> float:
    """log of the mixture's mass at one pixel of x (B, 3, H, W)."""
    mix, loc, log_scale, c = (
        tensors[name][row][..., i, j, :].tolist()
        for name in ("mix_logits", "loc", "log_scale", "coefficients")
    )
    levels = x[row, :, i, j].tolist()
    y = [level / 127.5 - 1 for level in levels]
    total = 0.0
    for m, weight in enumerate(np.exp(mix) / np.exp(mix).sum()):
        means = loc[0][m], loc[1][m] + c[0][m] * y[0], loc[2][m] + c[1][m] * y[0] + c[2][m] * y[1]
        for channel, mean in enumerate(means):
            below = -np.inf if levels[channel] == 0 else y[channel] - 1 / 255
            above = np.inf if levels[channel] == 255 else y[channel] + 1 / 255
            at = [special.expit((edge - mean) / exp(log_scale[channel][m])) for edge in (above, below)]
            weight *= at[0] - at[1]
        total += weight
    return log(total)


@pytest.mark.parametrize("name", ANY_CASE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rows_pixels_are_its_own(name: str, dtype: torch.dtype) -> None:
    """Bit for bit, whatever rows are beside it and however many samples are drawn; and in the law's dtype."""
    event = (5, 9)
    cases = {**likelihoods(event), "discretized_logistic_mixture_rgb": colours(256, event)}
    case = cases[name]
    case = case._replace(tensors={key: tensor.to(dtype) for key, tensor in case.tensors.items()})
    together = draw(case.law(name), noise(Purpose.PIXELS), 5)
    assert together.dtype == (torch.int64 if name == "categorical" else dtype)
    assert case.law(name).log_prob(together.to(dtype)).dtype == dtype
    for row in range(ROWS):
        alone = slice(row, row + 1)
        one = draw(case.law(name, alone), noise(Purpose.PIXELS, alone), 3)
        assert torch.equal(one[:, 0], together[:3, row])


@pytest.mark.parametrize("name", POSTERIORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rows_latents_are_its_own(name: str, dtype: torch.dtype) -> None:
    case = POSTERIORS[name]
    if name != "codes":
        case = case._replace(tensors={key: tensor.to(dtype) for key, tensor in case.tensors.items()})
    together = draw(case.law(name), noise(Purpose.POSTERIOR), 5)
    assert together.dtype == (torch.int64 if name == "codes" else dtype)
    for row in range(ROWS):
        alone = slice(row, row + 1)
        one = draw(case.law(name, alone), noise(Purpose.POSTERIOR, alone), 3)
        assert torch.equal(one[:, 0], together[:3, row])


@pytest.mark.parametrize("name", POSTERIORS)
def test_rates_in_closed_form_are_the_mean_of_the_log_ratio(name: str) -> None:
    """Within 4 standard errors, row by row."""
    e, m = POSTERIORS[name].law(name), POSTERIORS[name].m()
    z = draw(e, noise(Purpose.POSTERIOR), K)
    ratio = e.log_prob(z) - m.log_prob(z)
    closed = kl_divergence(e, m)
    assert ((ratio.mean(0) - closed).abs() <= 4 * ratio.std(0) / K**0.5 + 1e-9).all()
    # What would not pass: an error of a fiftieth of the spread.
    if name != "codes":
        assert ((ratio.mean(0) - closed - ratio.std(0) / 25).abs() > 4 * ratio.std(0) / K**0.5).any()


@pytest.mark.parametrize("name", POSTERIORS)
def test_mode_and_scale(name: str) -> None:
    """The mode is nowhere less likely than a draw; the scale is that of draws, coordinate by coordinate."""
    e = POSTERIORS[name].law(name)
    z = draw(e, noise(Purpose.POSTERIOR), K)
    assert (e.log_prob(encoders.mode(e)) >= e.log_prob(z)).all()
    torch.testing.assert_close(encoders.scale(e), z.double().std(0), atol=0.02, rtol=0.1)


def one_by_one(drawn: Tensor, cdf: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
    """The least p of the columns of (K, n) under one CDF."""
    return min(stats.kstest(column, cdf).pvalue for column in drawn.double().T.numpy())


def test_latents_follow_their_laws() -> None:
    """Each posterior, brought to a law of known CDF."""
    drawn = {
        name: (case.law(name), draw(case.law(name), noise(Purpose.POSTERIOR), K))
        for name, case in POSTERIORS.items()
    }
    for name in ("normal", "laplace"):
        law, z = drawn[name]
        assert one_by_one(cells(law.base_dist.cdf(z))[:, :12], stats.uniform.cdf) > LEAST_P
    law, z = drawn["normal_full"]
    white = torch.linalg.solve_triangular(law.scale_tril, (z - law.loc)[..., None], upper=False)
    assert one_by_one(cells(white)[:, :12], stats.norm.cdf) > LEAST_P
    assert one_by_one(cells(white)[:, :12], stats.norm(0, 1.05).cdf) < LEAST_P
    law, z = drawn["one_hot"]
    columns = zip(z.argmax(-1).flatten(1).T.numpy(), law.base_dist.probs.flatten(0, 1).numpy(), strict=True)
    assert min(chi2(x, mass) for x, mass in columns) > LEAST_P


@pytest.mark.parametrize("d", [2, 3, 40])
def test_directions_about_a_mean(d: int) -> None:
    """Cosine and density by scipy, the direction across by symmetry."""
    g = torch.Generator().manual_seed(d)
    loc = torch.randn(ROWS, d, generator=g, dtype=torch.float64)
    concentration = torch.tensor([0.5, 3.0, 80.0, 4000.0]).double()
    law = PosteriorCase({"loc": loc, "log_concentration": concentration.log()}, (d,), ("", {}, {})).law(
        "von_mises_fisher"
    )
    z = draw(law, noise(Purpose.POSTERIOR), K)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(K, ROWS).double())
    for row, k in enumerate(concentration.tolist()):
        reference = stats.vonmises_fisher(law.loc[row].numpy(), k)
        np.testing.assert_allclose(law.log_prob(z)[:9, row], reference.logpdf(z[:9, row].numpy()), atol=1e-6)
        cosine = (z[:, row] @ law.loc[row]).numpy()
        assert stats.kstest(cosine, cosine_cdf(d, k)).pvalue > LEAST_P
        assert stats.kstest(cosine, cosine_cdf(d, 1.2 * k + 0.2)).pvalue < LEAST_P
        across = z[:, row] - (z[:, row] @ law.loc[row])[:, None] * law.loc[row]
        side = (across @ torch.randn(d, generator=g, dtype=torch.float64)).numpy()
        assert abs(np.sign(side).mean()) < 4 / K**0.5


def cosine_cdf(d: int, k: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Of the cosine to the mean: its density is (1 - t^2)^((d-3)/2) exp(k t), here over the angle."""
    angle = np.linspace(0, np.pi, 400_001)
    with np.errstate(divide="ignore"):
        log_density = (d - 2) * np.log(np.sin(angle)) + k * np.cos(angle) if d > 2 else k * np.cos(angle)
    total = np.cumsum(np.exp(log_density - log_density.max()))
    return lambda t: 1 - np.interp(np.arccos(np.clip(t, -1, 1)), angle, total / total[-1])


def test_draws_of_marginals_follow_them() -> None:
    g = torch.Generator().manual_seed(5)
    rows = noise(Purpose.PRIOR)
    sphere = draw(marginal("uniform_sphere", {}, {}, (3,)), rows, K)
    assert one_by_one(cells(sphere), stats.uniform(-1, 2).cdf) > LEAST_P  # Archimedes
    codes = draw(marginal("uniform_codes", {}, {"n_codes": 5}, (3,)), rows, K)
    assert min(chi2(column, np.ones(5)) for column in cells(codes).T.numpy()) > LEAST_P
    logits = torch.randn(3, 5, generator=g, dtype=torch.float64)
    learned = draw(marginal("categorical", {"logits": logits}, {}, (3,)), rows, K)
    columns = zip(cells(learned).T.numpy(), logits.softmax(-1).repeat(ROWS, 1).numpy(), strict=True)
    assert min(chi2(*column) for column in columns) > LEAST_P
    tensors = {
        "logits": torch.randn(3, generator=g).double(),
        "loc": 3 * torch.randn(3, 2, 1, generator=g).double(),
    }
    mixture = marginal("normal_mixture", {**tensors, "scale": torch.ones(3, 2, 1).double()}, {}, (2, 1))
    weights = tensors["logits"].softmax(0).numpy()
    for i, column in enumerate(draw(mixture, rows, K).flatten(2).flatten(0, 1).T.numpy()):
        centres = tensors["loc"][:, i, 0].numpy()
        assert stats.kstest(column, lambda t: stats.norm.cdf(t[:, None] - centres) @ weights).pvalue > LEAST_P  # noqa: B023


def test_counts_that_reach_far_are_drawn() -> None:
    """Beside those that are searched for, and by scipy's negative binomial law."""
    mean = torch.tensor([[3.0, 2e4, 1e6, 1e6, 1e9, 1e30]]).double()
    total_count = torch.tensor([[1.0, 4.0, 0.1, 1e6, 2.0, 1.0]]).double()
    law = likelihood("negative_binomial", {"mean": mean, "total_count": total_count}, {}, (6,))
    x = draw(law, noise(Purpose.PIXELS, 1), K)[:, 0]
    assert (x == x.round()).all()
    for column, m, r in zip(x.T.numpy(), mean[0].tolist(), total_count[0].tolist(), strict=True):
        # A count and a uniform share of it, for a continuous law.
        share = np.random.default_rng(0).random(K)
        below, at = (special.betainc(r, column + i, r / (r + m)) for i in (0, 1))
        assert (
            stats.kstest(np.where(column > 0, below, 0) * (1 - share) + at * share, "uniform").pvalue
            > LEAST_P
        )


@pytest.mark.parametrize("size", [0.1, 3.0, LARGE, LARGE * 1.001, 1e5])
def test_quantiles_of_counts_and_rates(size: float) -> None:
    """By scipy's CDFs: P(X < n) <= u < P(X <= n), and of a Gamma law P(g) = u, within 1e-8."""
    words = np.concatenate([[0, 2**32 - 1], np.random.default_rng(0).integers(0, 2**32, 2000)])
    u = (words + 0.5) * 2.0**-32
    n = poisson(torch.tensor(size), torch.from_numpy(u)).numpy()
    assert (special.pdtr(n, size) > u - 1e-8).all()
    assert (np.where(n > 0, special.pdtr(n - 1, size), 0) <= u + 1e-8).all()
    g = gamma(torch.full((len(u),), size).double(), torch.from_numpy(u)).numpy()
    np.testing.assert_allclose(special.gammainc(size, g), u, atol=1e-8, rtol=0)


def test_a_search_ends_whatever_the_law() -> None:
    nothing = torch.tensor([torch.nan]).double()
    found = first_count(lambda n, p: n + p, (nothing,), torch.tensor([[0.5]]).double())
    assert found.shape == (1, 1)


def test_large_rates_are_drawn() -> None:
    rate = torch.tensor([[0.0, 1e-8, 1e3, 1e6, 1e12]]).double()
    x = draw(likelihood("poisson", {"rate": rate}, {}, (5,)), noise(Purpose.PIXELS, 1), K)[:, 0]
    assert (x[:, :2] == 0).all()
    error = (x.mean(0) - rate[0]) / (rate[0] / K).sqrt().clamp_min(1e-9)
    assert (error[2:].abs() < 4).all()
    torch.testing.assert_close(x.var(0)[2:], rate[0, 2:], atol=0, rtol=0.05)


def test_a_continuous_bernoulli_beside_one_half() -> None:
    """At lambda = 1/2 and next to it, density and quantile are exact; and where exp overflows."""
    logits = torch.tensor([[0.0, 1e-12, -1e-6, 1e-3, 0.0199, 0.0201, -800.0, 800.0]]).double()
    law = likelihood("continuous_bernoulli", {"logits": logits}, {}, (8,)).base_dist
    u = torch.linspace(0.01, 0.99, 33).double()[:, None, None]
    x = law.icdf(u)
    n = logits[..., 3:6]
    torch.testing.assert_close(x[..., :2], u.expand(-1, 1, 2), atol=1e-9, rtol=0)
    torch.testing.assert_close(x[..., 3:6], torch.log1p(u * torch.expm1(n)) / n, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(law.log_prob(x)[..., 3:6], torch.log(n / torch.expm1(n)) + n * x[..., 3:6])
    beyond = torch.cat([1 - u, u], -1).log() + log(800)
    torch.testing.assert_close(law.log_prob(x)[..., 6:], beyond, atol=1e-9, rtol=1e-9)
