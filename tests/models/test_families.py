"""The families are the paper's, to the layer."""

import pytest
import torch
from rdserve.models.card_parts import Architecture
from rdserve.models.components.marginals import VampPrior, mixture
from rdserve.models.families import FAMILIES, build, slug
from rdserve.models.networks.flows import MADE
from rdserve.models.vae import frozen
from torch import nn
from torch.distributions import Categorical


def test_twelve_families_with_distinct_names() -> None:
    assert len(FAMILIES) == 12
    assert len({slug(family) for family in FAMILIES}) == 12
    assert slug("-+v") == "mpv"


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_paper_size() -> None:
    """Counts that follow from appendix F's layer tables, two convolutions to a gated layer."""
    simple, rich = build(Architecture(family="---")), build(Architecture(family="++v"))
    convolutions = [(1, 32, 5), (32, 32, 5), (32, 64, 5), (64, 64, 5), (64, 256, 7)]
    encoder = sum(2 * above * (below * k * k + 1) for below, above, k in convolutions) + 2 * (256 * 64 + 64)
    deconvolutions = [(64, 64, 7), (64, 64, 5), (64, 64, 5), (64, 32, 5), (32, 32, 5), (32, 32, 4)]
    decoder = sum(2 * above * (below * k * k + 1) for below, above, k in deconvolutions) + 32 * 25 + 1
    made = (64 * 640 + 640) + 2 * (640 * 640 + 640) + (640 * 64 + 64)
    assert n_parameters(simple.encoder) == encoder
    assert n_parameters(simple.decoder) == decoder
    assert n_parameters(simple.marginal) == 0
    assert n_parameters(rich.encoder) == encoder + 4 * made
    assert n_parameters(rich.marginal) == 500 * 784 + 500
    assert n_parameters(build(Architecture(family="--+")).marginal) == 4 * made


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("height", "width"), [(5, None), (8, None), (28, None), (4, 11), (14, 6)])
def test_any_size(family: str, height: int, width: int | None) -> None:
    architecture = Architecture(
        family=family, image_size=height, image_width=width, latent_dim=3, width=0.05, n_pseudo_inputs=2
    )
    vae, x = build(architecture), torch.ones(2, *architecture.image_shape)
    assert x.shape[1:] == (height, width or height)
    z = vae.encoder(x).rsample()
    assert vae.decoder(z).log_prob(x).shape == (2,)
    assert vae.marginal().log_prob(z).shape == (2,)


@pytest.mark.parametrize("family", ["--v", "+-v"])
def test_vamp_prior_is_the_weighted_mixture_of_posteriors(family: str) -> None:
    """m(z) = sum_i w_i e(z|phi_i), each term by its own inversion of the flow."""
    torch.manual_seed(6)
    vae = build(
        Architecture(family=family, image_size=8, latent_dim=3, width=0.1, n_pseudo_inputs=4)
    ).double()
    for module in vae.modules():
        if isinstance(module, MADE):
            nn.init.normal_(module.out.weight)
    marginal = vae.marginal
    assert isinstance(marginal, VampPrior)
    nn.init.normal_(marginal.logits)
    z = vae.encoder(torch.ones(5, 8, 8).double()).rsample()
    expected = torch.stack(
        [
            w + vae.encoder(phi).log_prob(z.clone())
            for w, phi in zip(marginal.logits.log_softmax(0), marginal.pseudo_inputs, strict=True)
        ]
    ).logsumexp(0)
    assert torch.allclose(marginal().log_prob(z), expected, atol=1e-5)


def test_vamp_prior_owns_no_copy_of_the_encoder() -> None:
    vae = build(Architecture(family="+-v", image_size=8, latent_dim=3, width=0.1, n_pseudo_inputs=4))
    assert set(vae.marginal.state_dict()) == {"pseudo_inputs", "logits"}
    vae.marginal.initialise(torch.ones(3, 8, 8))
    assert torch.allclose(vae.marginal.pseudo_inputs, torch.tensor(0.95))


def test_frozen_marginal_is_the_same_law() -> None:
    vae = build(Architecture(family="+-v", image_size=8, latent_dim=3, width=0.1, n_pseudo_inputs=4))
    z = torch.randn(6, 3)
    with torch.no_grad():
        before = vae.marginal().log_prob(z)
        assert torch.equal(frozen(vae).marginal().log_prob(z), before)


def test_mixture_of_one_is_its_member() -> None:
    vae = build(Architecture(family="+--", image_size=8, latent_dim=3, width=0.1))
    e, z = vae.encoder(torch.ones(1, 8, 8)), torch.randn(4, 3)
    assert torch.allclose(
        mixture(Categorical(logits=torch.zeros(1)), e).log_prob(z), e.log_prob(z), atol=1e-6
    )
