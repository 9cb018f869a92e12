"""Laws by name: what each takes, what it says when it is given something else, and models made of them."""

from collections.abc import Mapping

import pytest
import torch
from law_cases import NamedDecoder, NamedEncoder, colours, likelihoods, posteriors
from rdserve.models import ops
from rdserve.models.components import encoders
from rdserve.models.components.decoders import PixelCNNDecoder
from rdserve.models.distributions.autoregressive import Autoregressive, DrawTooLarge
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.law_table import LIKELIHOODS, MARGINALS, POSTERIORS, LawError
from rdserve.models.distributions.named_laws import likelihood, marginal, posterior
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.distributions.reparameterised import (
    Reparameterised,
    ReparameterisedDraw,
    ReparameterisedMarginal,
)
from rdserve.models.vae import VAE, Fixed
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal

LIKELIHOOD_CASES = {**likelihoods(), "discretized_logistic_mixture_rgb": colours()}
POSTERIOR_CASES = posteriors()
Z = (6,)


def keys(n: int) -> NoiseKeys:
    return NoiseKeys(torch.full((n,), 3), torch.arange(n))


def test_the_table_and_the_builders_name_the_same_laws() -> None:
    """Every law of the table can be made, but those of functions; and the cases leave none out."""
    assert set(LIKELIHOOD_CASES) == set(LIKELIHOODS)
    assert set(POSTERIOR_CASES) == {name for name, law in POSTERIORS.items() if not law.from_functions}
    made = {case.marginal[0] for case in POSTERIOR_CASES.values()} | {"normal_mixture"}
    assert made == {name for name, law in MARGINALS.items() if not law.from_functions}
    for table in (LIKELIHOODS, POSTERIORS, MARGINALS):
        for name, law in table.items():
            assert law.name == name
            assert set(law.required) <= set(law.arguments)


def given(**tensors: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: torch.full(shape, 0.5) for name, shape in tensors.items()}


@pytest.mark.parametrize(
    ("law", "tensors", "arguments", "message"),
    [
        ("gauss", {}, {}, "no likelihood 'gauss'; there are bernoulli, "),
        ("normal", given(mean=(2, 4), scale=(2, 4)), {}, "takes loc; scale or log_scale.* got mean too"),
        ("normal", given(loc=(2, 4)), {}, "needs scale or log_scale .*the argument scale.; got loc"),
        ("normal", given(loc=(2, 4), scale=(2, 4), variance=(2, 4)), {}, "one of .*; got scale and variance"),
        ("normal", given(loc=(2, 4)), {"scale": 0}, "a scale above 0; got 0"),
        ("normal", given(loc=(2, 4)), {"scale": True}, "a scale above 0; got True"),
        ("normal", given(loc=(2, 4)), {"sigma": 1.0}, "takes scale; got the argument sigma"),
        ("normal", given(loc=(2, 5)), {"scale": 1.0}, r"needs loc of shape \(2, 4\); got \(2, 5\)"),
        ("normal", given(loc=(2, 2, 2)), {"scale": 1.0}, r"of shape \(2, 4\); got \(2, 2, 2\)"),
        ("bernoulli", {}, {}, "needs logits or probs; got no tensors"),
        ("bernoulli", given(logits=(2, 4)), {"levels": 2}, "takes no arguments; got the argument levels"),
        ("categorical", given(logits=(2, 4)), {}, r"of shape \(2, 4, 'any'\); got \(2, 4\)"),
        ("categorical", given(logits=(2, 4, 9)), {"levels": 8}, "has 9 outcomes where levels is 8"),
        ("beta_binomial", given(alpha=(2, 4), beta=(2, 4)), {}, "needs the argument levels: how many"),
        ("beta_binomial", given(alpha=(2, 4), beta=(2, 4)), {"levels": 1}, "whole number from 2 up; got 1"),
        (
            "discretized_logistic",
            given(loc=(2, 4), scale=(2, 4)),
            {"levels": 256, "network_range": (1, -1)},
            r"network_range of two numbers, the lower first; got \(1, -1\)",
        ),
        ("continuous_bernoulli", given(logits=(2, 4)), {"clamp": 0.5}, "above 0 and below 0.5; got 0.5"),
        (
            "discretized_logistic_mixture_rgb",
            given(mix_logits=(2, 4)),
            {"levels": 256},
            r"needs the argument channel_axis: x of shape \(4,\) has 0 axes of 3",
        ),
    ],
)
def test_what_does_not_make_a_likelihood(
    law: str, tensors: Mapping[str, Tensor], arguments: Mapping[str, object], message: str
) -> None:
    with pytest.raises(LawError, match=message):
        likelihood(law, tensors, arguments, (4,))


@pytest.mark.parametrize(
    ("law", "tensors", "shape", "message"),
    [
        ("graph", {}, (4,), "made of the model's own functions"),
        ("normal_full", given(loc=(2, 4)), (2, 2), r"law of vectors; got z of shape \(2, 2\)"),
        ("von_mises_fisher", given(loc=(2, 4)), (4,), "needs concentration or log_concentration; got loc"),
        ("codes", given(codes=(2, 4)), (4,), "needs codes of whole numbers; got torch.float32"),
    ],
)
def test_what_does_not_make_a_posterior(
    law: str, tensors: Mapping[str, Tensor], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(LawError, match=message):
        posterior(law, tensors, {}, shape)


def test_what_does_not_make_a_marginal() -> None:
    with pytest.raises(LawError, match="needs the argument n_codes"):
        marginal("uniform_codes", {}, {}, (4,))
    with pytest.raises(LawError, match=r"needs loc of shape \(3, 4\); got \(2, 4\)"):
        marginal("normal_mixture", given(logits=(3,), loc=(2, 4), scale=(3, 4)), {}, (4,))


@pytest.mark.parametrize(
    "other",
    [
        lambda p: {"loc": p["loc"], "scale": p["log_variance"].exp().sqrt()},
        lambda p: {"loc": p["loc"], "log_scale": p["log_variance"] / 2},
        lambda p: {"loc": p["loc"], "variance": p["log_variance"].exp()},
        lambda p: {name: tensor.flatten(1) for name, tensor in p.items()},
        lambda p: {name: tensor[:, None] for name, tensor in p.items()},
    ],
    ids=["scale", "log_scale", "variance", "flat", "with a channel"],
)
def test_one_law_given_in_other_words(other) -> None:  # type: ignore[no-untyped-def]
    case = likelihoods((2, 3))["normal"]
    x = torch.linspace(-1, 1, 6).double().view(2, 3)
    law = likelihood("normal", other(case.tensors), {}, (2, 3))
    torch.testing.assert_close(law.log_prob(x), case.law("normal").log_prob(x))


def test_probabilities_and_logits_give_one_law() -> None:
    for name, to_probs in (
        ("bernoulli", torch.sigmoid),
        ("continuous_bernoulli", torch.sigmoid),
        ("categorical", lambda logits: logits.softmax(-1)),
    ):
        case, x = LIKELIHOOD_CASES[name], torch.tensor([0.0, 1.0, 1.0]).double()
        law = likelihood(name, {"probs": to_probs(case.tensors["logits"])}, {}, case.event)
        torch.testing.assert_close(law.log_prob(x), case.law(name).log_prob(x))


def test_a_number_of_a_row_or_of_a_channel_serves_all_its_entries() -> None:
    loc, x = torch.zeros(2, 3, 2, 2), torch.ones(3, 2, 2)
    for shape in ((2, 1), (2,), (2, 3, 1, 1)):
        scale = torch.full(shape, 0.5)
        law = likelihood("normal", {"loc": loc, "scale": scale}, {}, (3, 2, 2))
        torch.testing.assert_close(law.log_prob(x), Normal(0, 0.5).log_prob(x).sum().expand(2))


@pytest.mark.parametrize(
    ("e", "d"),
    [*(("normal", name) for name in LIKELIHOOD_CASES), *((name, "bernoulli") for name in POSTERIOR_CASES)],
)
@torch.inference_mode()
def test_a_model_of_laws_by_name_is_a_vae(e: str, d: str) -> None:
    """Everything that is served works on it; a row's draws are its own."""
    post, like = POSTERIOR_CASES[e], LIKELIHOOD_CASES[d]
    vae = VAE(NamedEncoder(e, post), Fixed(post.m()), NamedDecoder(d, like, post.event))
    sampled = ops.sample(vae, keys(3), 2)
    assert sampled.latents.shape == (3, *post.event)
    assert sampled.images.shape == (3, 2, *like.event)
    x = sampled.images[:, 0].double()
    encoded, scores = ops.encode(vae, x, keys(3), 2), ops.score(vae, x, keys(3), 4)
    assert encoded.mode.shape == encoded.scale.shape == (3, *post.event)
    assert encoded.latents.shape == (3, 2, *post.event)
    assert scores.rate.shape == scores.distortion.shape == scores.importance_bound.shape == (3,)
    for each in (*scores[:3], encoded.scale):
        assert each.isfinite().all()
    assert scores.rate_is_exact
    assert (scores.rate >= 0).all()
    again = ops.reconstruct(vae, x, keys(3), 2)
    one = ops.reconstruct(vae, x[:1], keys(1), 2)
    assert torch.equal(one.images[0], again.images[0])
    assert torch.equal(ops.score(vae, x[:1], keys(1), 4).rate, scores.rate[:1])


def full(n: int) -> MultivariateNormal:
    law = POSTERIOR_CASES["normal_full"].law("normal_full", slice(0, n))
    assert isinstance(law, MultivariateNormal)
    return law


def as_function(law: MultivariateNormal, m: Distribution | None = None) -> Reparameterised:
    """The same law, known by what it does to noise."""

    def transform(eps: Tensor) -> ReparameterisedDraw:
        z = law.loc + (law.scale_tril @ eps.double()[..., None]).squeeze(-1)
        return ReparameterisedDraw(z, law.log_prob(z), None if m is None else m.log_prob(z))

    return Reparameterised(transform, 6, tuple(law.batch_shape), Z)


class _Encoder(nn.Module):
    def __init__(self, m: Distribution | None, function: bool) -> None:
        super().__init__()
        self.m, self.function = m, function

    def forward(self, x: Tensor) -> Distribution:
        return as_function(full(len(x)), self.m) if self.function else full(len(x))


@pytest.mark.parametrize("own_marginal", [True, False])
@torch.inference_mode()
def test_a_posterior_by_a_function_of_noise_is_scored_as_the_law_that_it_is(own_marginal: bool) -> None:
    """The same noise, the same codes, the same rates; the marginal's density by either of the two ways."""
    m, x = POSTERIOR_CASES["normal_full"].m(), torch.ones(3, 3).double()
    decoder = NamedDecoder("bernoulli", LIKELIHOOD_CASES["bernoulli"], Z)
    function = ReparameterisedMarginal(Z, log_density=None if own_marginal else m.log_prob)
    law = VAE(_Encoder(None, False), Fixed(m), decoder)
    other = VAE(_Encoder(m if own_marginal else None, True), Fixed(function), decoder)
    torch.testing.assert_close(
        ops.encode(other, x, keys(3), 5).latents, ops.encode(law, x, keys(3), 5).latents
    )
    ours, theirs = (ops.score(vae, x, keys(3), 5) for vae in (law, other))
    assert ours.rate_is_exact
    assert not theirs.rate_is_exact
    torch.testing.assert_close(theirs.importance_bound, ours.importance_bound)
    torch.testing.assert_close(theirs.distortion, ours.distortion)
    encoded = ops.encode(other, x, keys(3), 1)
    torch.testing.assert_close(encoded.mode, full(3).loc)
    assert torch.equal(encoded.scale, torch.ones(3, 6))


def test_a_function_of_noise_knows_its_density_where_it_drew() -> None:
    e = as_function(full(2))
    with pytest.raises(NotImplementedError, match="at the codes that it drew last"):
        e.log_prob(torch.zeros(1, 2, 6).double())
    first = draw(e, Noise(keys(2), Purpose.POSTERIOR), 1)
    torch.testing.assert_close(e.log_prob(first), full(2).log_prob(first))
    encoders.mode(e)
    draw(e, Noise(keys(2), Purpose.POSTERIOR), 2)
    with pytest.raises(NotImplementedError, match="at the codes that it drew last"):
        e.log_prob(first)


def test_a_function_that_gives_other_shapes_is_refused() -> None:
    e = Reparameterised(lambda eps: ReparameterisedDraw(eps, eps.sum(-1)), 5, (2,), Z)
    with pytest.raises(ValueError, match=r"z is \(1, 2, 5\) for \(1, 2\) draws of \(6,\)"):
        draw(e, Noise(keys(2), Purpose.POSTERIOR), 1)
    e = Reparameterised(lambda eps: ReparameterisedDraw(eps, eps), 6, (2,), Z)
    with pytest.raises(ValueError, match=r"log_prob is \(1, 2, 6\) for \(1, 2\) draws"):
        draw(e, Noise(keys(2), Purpose.POSTERIOR), 1)


def test_a_marginal_by_functions_says_what_it_lacks() -> None:
    m = ReparameterisedMarginal(Z, transform=lambda eps: 2 * eps, noise_size=6)
    noise = Noise(keys(2), Purpose.PRIOR)
    assert torch.equal(draw(m, noise, 3), 2 * noise.normal(3, 6))
    with pytest.raises(NotImplementedError, match="density of its marginal"):
        m.log_prob(torch.zeros(1, 6))
    with pytest.raises(NotImplementedError, match="how to draw from its marginal"):
        draw(ReparameterisedMarginal(Z, log_density=lambda z: z.sum(-1)), noise, 1)


@torch.inference_mode()
def test_an_autoregressive_decoder_draws_as_our_pixelcnn_does() -> None:
    """From nothing but its teacher-forced pass: the same pixels from the same noise, the same density."""
    torch.manual_seed(0)
    ours = PixelCNNDecoder((6, 6), 4, width=0.1).eval()(torch.randn(2, 4))

    def given(x: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=ours._logits(x)), 2)

    theirs = Autoregressive(given, (2,), (6, 6))
    noise = Noise(keys(2), Purpose.PIXELS)
    x = draw(theirs, noise, 3)
    assert torch.equal(x, draw(ours, noise, 3))
    torch.testing.assert_close(theirs.log_prob(x), ours.log_prob(x))
    torch.testing.assert_close(theirs.log_prob(x[0, 0]), ours.log_prob(x[0, 0]))
    small = Autoregressive(given, (2,), (6, 6), max_entries=35)
    assert small.log_prob(x).shape == (3, 2)
    with pytest.raises(DrawTooLarge, match=r"36 entries .* at most 35"):
        draw(small, noise, 1)


def test_entries_are_drawn_in_raster_order_a_pixels_channels_together() -> None:
    """Each entry is 1 more than the one before it, if those before it are known when it is drawn."""

    def order(channel_axis: int | None) -> Tensor:
        def given(x: Tensor) -> Distribution:
            return Independent(Normal(x.flatten(-3).amax(-1)[..., None, None, None] + 1 + 0 * x, 1e-6), 3)

        law = Autoregressive(given, (1,), (3, 2, 2), channel_axis=channel_axis)
        return draw(law, Noise(keys(1), Purpose.PIXELS), 1)[0, 0].round()

    assert order(None).flatten().tolist() == list(range(1, 13))
    assert order(0).permute(1, 2, 0).flatten().tolist() == list(range(1, 13))
