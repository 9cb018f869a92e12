"""The served form of the toy: exact wherever a sum over all codes is."""

import pytest
import torch
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.ops import decode, encode, reconstruct, sample, score
from rdserve.models.toy import vae as tables
from rdserve.models.toy.laws import N, Tables, toy_source
from rdserve.models.vae import VAE
from rdserve.trainer.toy import ToyModel

BINS = torch.eye(N)[:, None]  # (30, 1, 30)
KEYS = NoiseKeys(torch.zeros(N, dtype=torch.int64), torch.arange(N))


@pytest.fixture(scope="module")
def laws() -> Tables:
    with torch.no_grad():
        many = ToyModel(torch.tensor([2.0]), seed=3)()
    return Tables(*(table[0] for table in many))


@pytest.fixture(scope="module")
def vae(laws: Tables) -> VAE:
    return tables.from_laws(laws)


def test_the_model_keeps_the_laws(laws: Tables, vae: VAE) -> None:
    for mine, there in zip(tables.laws(vae), laws, strict=True):
        torch.testing.assert_close(mine, there, rtol=1e-6, atol=1e-6)


@torch.inference_mode()
def test_rate_and_distortion_are_exact_sums(laws: Tables, vae: VAE) -> None:
    """However few codes are drawn."""
    p = toy_source().p
    scores = score(vae, BINS, KEYS, n_samples=1)
    assert scores.rate_is_exact
    assert (p @ scores.rate).item() == pytest.approx(laws.rate(p).item(), abs=1e-5)
    assert (p @ scores.distortion).item() == pytest.approx(laws.distortion(p).item(), abs=1e-5)


@torch.inference_mode()
def test_the_importance_bound_reaches_the_models_log_probability() -> None:
    laws = Tables(*(table[0] for table in ToyModel(torch.tensor([0.5]), seed=3)()))
    bound = score(tables.from_laws(laws), BINS, KEYS, n_samples=4000).importance_bound
    torch.testing.assert_close(bound, laws.generated().log(), atol=0.05, rtol=0)


@torch.inference_mode()
def test_all_that_is_drawn_is_one_hot(vae: VAE) -> None:
    encoding, drawn = encode(vae, BINS, KEYS, 7), sample(vae, KEYS, 5)
    rebuilt = reconstruct(vae, BINS, KEYS, 3)
    decoded = decode(vae, encoding.mode, KEYS, 2)
    assert encoding.latents.shape == (N, 7, N)
    for rows in (
        encoding.mode,
        encoding.latents,
        drawn.latents,
        drawn.images,
        rebuilt.images,
        decoded.images,
    ):
        assert (rows.sum(-1) == 1).all()
        assert ((rows == 0) | (rows == 1)).all()
    assert drawn.images.shape == (N, 5, 1, N)


@torch.inference_mode()
def test_draws_follow_their_laws(laws: Tables, vae: VAE) -> None:
    k = 20_000
    keys = NoiseKeys(KEYS.seed[:1], KEYS.example[:1])
    z = draw(vae.marginal(), Noise(keys, Purpose.PRIOR), k)
    torch.testing.assert_close(z.mean(0)[0], laws.marginal.exp(), atol=0.015, rtol=0)
    x = draw(vae.decoder(torch.eye(N)[:1]), Noise(keys, Purpose.PIXELS), k)
    torch.testing.assert_close(x.mean(0)[0, 0], laws.decoder[0].exp(), atol=0.015, rtol=0)


def test_gradients_reach_every_table(vae: VAE) -> None:
    from rdserve.models.rate_distortion import evaluate_with_codes

    rd = evaluate_with_codes(vae, BINS, 1, lambda e, k: draw(e, Noise(KEYS, Purpose.POSTERIOR), k)).rd
    rd.objective().mean().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
