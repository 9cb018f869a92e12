"""What a served model does: pure functions of (model, rows, noise keys), torch only.

Rows come first in what they return, samples second. Each row's result depends on that row and its
keys, and on the rows beside it in the last digits only.
"""

from typing import NamedTuple

from rdserve.models.components import encoders
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.rate_distortion import effective_sample_size, evaluate, importance_bound
from rdserve.models.vae import VAE
from torch import Tensor
from torch.distributions import Distribution


class EncodeResult(NamedTuple):
    mode: Tensor  # (B, Z)
    scale: Tensor  # (B, Z), see `encoders.scale`
    latents: Tensor  # (B, K, Z)


class DecodeResult(NamedTuple):
    latents: Tensor  # (B, Z)
    images: Tensor  # (B, K, *x)


class Scores(NamedTuple):
    rate: Tensor  # (B,) nats
    distortion: Tensor  # (B,) nats
    importance_bound: Tensor  # (B,) nats
    importance_ess: Tensor  # (B,) in [1, K]
    rate_is_exact: bool


def encode(vae: VAE, x: Tensor, keys: NoiseKeys, n_samples: int) -> EncodeResult:
    """e(z|x) of images x (B, H, W), and n_samples draws from it."""
    e = vae.encoder(x)
    latents = draw(e, Noise(keys, Purpose.POSTERIOR), n_samples)
    return EncodeResult(encoders.mode(e), encoders.scale(e), latents.transpose(0, 1))


def decode(vae: VAE, z: Tensor, keys: NoiseKeys, n_samples: int) -> DecodeResult:
    """n_samples draws from d(x|z) at latents z (B, Z)."""
    images = draw(vae.decoder(z), Noise(keys, Purpose.PIXELS), n_samples)
    return DecodeResult(z, images.transpose(0, 1))


def reconstruct(vae: VAE, x: Tensor, keys: NoiseKeys, n_samples: int) -> DecodeResult:
    """One z ~ e(z|x) per image x (B, H, W), then n_samples draws from d(x|z) at that z."""
    z = draw(vae.encoder(x), Noise(keys, Purpose.POSTERIOR), 1)[0]
    return decode(vae, z, keys, n_samples)


def sample(vae: VAE, keys: NoiseKeys, n_samples: int) -> DecodeResult:
    """One z ~ m(z) per key, then n_samples draws from d(x|z) at that z."""
    z = draw(vae.marginal(), Noise(keys, Purpose.PRIOR), 1)[0]
    return decode(vae, z, keys, n_samples)


def score(vae: VAE, x: Tensor, keys: NoiseKeys, n_samples: int) -> Scores:
    """Rate and distortion of images x (B, H, W) from n_samples draws of z each."""

    def posterior(e: Distribution, k: int) -> Tensor:
        return draw(e, Noise(keys, Purpose.POSTERIOR), k)

    rd = evaluate(vae, x, n_samples, posterior)
    return Scores(
        rd.expected_rate,
        rd.expected_distortion,
        importance_bound(rd),
        effective_sample_size(rd),
        rd.exact_rate is not None,
    )
