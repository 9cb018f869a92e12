"""A row's answer is its own: batched, alone or permuted."""

import numpy as np
import pytest
import torch
from rdserve.client.results import Encoding
from rdserve.models import ops
from rdserve.models.card_parts import Architecture
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.families import FAMILIES, build
from rdserve.models.networks.flows import MADE
from rdserve.models.vae import VAE, frozen
from torch import Tensor, nn

N = 5


@pytest.fixture(params=FAMILIES, scope="module")
def vae(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(7)
    vae = build(Architecture(family=request.param, image_size=8, latent_dim=4, width=0.1, n_pseudo_inputs=6))
    for module in vae.modules():
        if isinstance(module, MADE):
            nn.init.normal_(module.out.weight, std=0.1)
    return frozen(vae)


X = (torch.rand(N, 8, 8, generator=torch.Generator().manual_seed(8)) < 0.4).float()
KEYS = NoiseKeys(torch.tensor([3, 3, 3, 11, 12]), torch.tensor([0, 1, 2, 0, 2**50]))


def at(rows: list[int]) -> tuple[Tensor, NoiseKeys]:
    return X[rows], NoiseKeys(KEYS.seed[rows], KEYS.example[rows])


@pytest.mark.parametrize("order", [[4, 2, 0, 1, 3], [2], [3, 1]])
@torch.inference_mode()
def test_scores_and_codes_ignore_the_batch(vae: VAE, order: list[int]) -> None:
    for op in (ops.encode, ops.score):
        whole, part = op(vae, X, KEYS, 3), op(vae, *at(order), 3)
        for all_rows, some_rows in zip(whole, part, strict=True):
            if isinstance(all_rows, Tensor):
                assert torch.allclose(some_rows, all_rows[order], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_pictures_ignore_the_batch(vae: VAE) -> None:
    order = [3, 0]
    x, keys = at(order)
    assert torch.equal(
        ops.reconstruct(vae, x, keys, 2).images, ops.reconstruct(vae, X, KEYS, 2).images[order]
    )
    assert torch.equal(ops.sample(vae, keys, 2).images, ops.sample(vae, KEYS, 2).images[order])


@torch.inference_mode()
def test_shapes_and_values(vae: VAE) -> None:
    encoding = ops.encode(vae, X, KEYS, 3)
    assert (encoding.mode.shape, encoding.scale.shape, encoding.latents.shape) == ((N, 4), (N, 4), (N, 3, 4))
    pictures = ops.reconstruct(vae, X, KEYS, 2)
    assert pictures.images.shape == (N, 2, 8, 8)
    assert set(pictures.images.unique().tolist()) <= {0.0, 1.0}
    scores = ops.score(vae, X, KEYS, 4)
    assert ((scores.importance_ess >= 1 - 1e-4) & (scores.importance_ess <= 4 + 1e-4)).all()
    assert scores.distortion.min() > 0


@torch.inference_mode()
def test_reconstruction_decodes_the_first_posterior_sample(vae: VAE) -> None:
    """encode, then decode, is reconstruct: the same keys name the same noise in every op."""
    z = ops.encode(vae, X, KEYS, 1).latents[:, 0]
    reconstruction = ops.reconstruct(vae, X, KEYS, 2)
    assert torch.equal(reconstruction.latents, z)
    assert torch.equal(ops.decode(vae, z, KEYS, 2).images, reconstruction.images)


@torch.inference_mode()
def test_the_mode_is_where_the_posterior_peaks(vae: VAE) -> None:
    e = vae.encoder(X)
    encoding = ops.encode(vae, X, KEYS, 20)
    peak = e.log_prob(encoding.mode)
    assert (peak >= e.log_prob(encoding.latents.transpose(0, 1).clone())).all()


@torch.inference_mode()
def test_the_scale_of_a_flows_encoder_is_that_before_the_flow_and_samples_have_the_latents_own() -> None:
    torch.manual_seed(7)
    vae = build(Architecture(family="+--", image_size=8, latent_dim=4, width=0.1))
    for module in vae.modules():
        if isinstance(module, MADE):
            nn.init.normal_(module.out.weight, std=8.0)
    keys = NoiseKeys(KEYS.seed[:2], KEYS.example[:2])
    scale, latents = ops.encode(frozen(vae), X[:2], keys, 4000)[1:]
    assert torch.equal(scale, vae.encoder(X[:2]).base_dist.stddev)
    served = Encoding(scale.numpy(), scale.numpy(), latents.numpy())
    many = draw(vae.encoder(X[:2]), Noise(NoiseKeys(keys.seed + 1, keys.example), Purpose.POSTERIOR), 20_000)
    np.testing.assert_allclose(served.sample_scale, many.std(0).numpy(), rtol=0.1)
    assert (served.sample_scale / served.posterior_scale).max() > 1.5
    assert np.isnan(Encoding(scale.numpy(), scale.numpy(), latents[:, :1].numpy()).sample_scale).all()


@torch.inference_mode()
def test_two_models_share_their_noise() -> None:
    small = Architecture(family="---", image_size=8, latent_dim=4, width=0.1)
    noises = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        encoding = ops.encode(frozen(build(small)), X, KEYS, 2)
        noises.append((encoding.latents - encoding.mode[:, None]) / encoding.scale[:, None])
    assert torch.allclose(*noises, atol=1e-4)
