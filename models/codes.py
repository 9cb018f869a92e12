"""Codes of images as densities of codes see them: before the flow that all rows share."""

from dataclasses import dataclass
from math import log

import torch
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.rate_distortion import rate
from rdserve.models.vae import VAE
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

# Numbers held at once, of pairs of codes and posteriors; images in one pass through the encoder.
ELEMENTS = 2**23
PASS = 256


@dataclass(frozen=True)
class DrawnCodes:
    """S codes of each of N images, all N for one sample before all for the next.

    A map that is one for all x changes every density at a place by one factor, so that ratios may be taken
    before it: `laws` and `u` are before the flow of the encoder, where it has one.

    laws: e(u|x), whose batches together have N rows.
    u, z: (S N, Z), before the flow and after.
    log_e, log_m: (S N,), nats: density of u under its own posterior, and under the marginal.
    """

    laws: tuple[Distribution, ...]
    u: Tensor
    z: Tensor
    log_e: Tensor
    log_m: Tensor


def codes(vae: VAE, x: Tensor, keys: NoiseKeys, n_samples: int = 1) -> DrawnCodes:
    """Codes of images x (N, H, W), under the noise of `keys`."""
    m = vae.marginal()
    passes = zip(x.split(PASS), keys.seed.split(PASS), keys.example.split(PASS), strict=True)
    laws, columns = [], []
    for images, seed, example in passes:
        e = vae.encoder(images)
        law, u, z = _before_the_flow(e, Noise(NoiseKeys(seed, example), Purpose.POSTERIOR), n_samples)
        log_e = law.log_prob(u).double()
        laws.append(law)
        columns.append((u, z, log_e, log_e - rate(e, m, z).double()))
    return DrawnCodes(
        tuple(laws), *(torch.cat(parts, 1).flatten(0, 1) for parts in zip(*columns, strict=True))
    )


def log_mixture(laws: tuple[Distribution, ...], u: Tensor) -> Tensor:
    """log of the mean over all rows of the laws of their density at codes u (n, Z): (n,) nats."""
    each = [log_densities(law, u).logsumexp(1) for law in laws]
    return torch.stack(each).logsumexp(0) - log(sum(law.batch_shape.numel() for law in laws))


def log_densities(law: Distribution, u: Tensor) -> Tensor:
    """log density of codes u (n, Z) under each row of a law with batch (N,): (n, N) nats, float64."""
    at_once = max(1, ELEMENTS // max(1, law.batch_shape.numel() * u.shape[1]))
    return torch.cat([law.log_prob(part[:, None]).double() for part in u.split(at_once)])


def _before_the_flow(e: Distribution, noise: Noise, n_samples: int) -> tuple[Distribution, Tensor, Tensor]:
    """The law before the flow that all rows share, codes (S, B, Z) there, and after."""
    if isinstance(e, TransformedDistribution):
        base, u, z = _before_the_flow(e.base_dist, noise, n_samples)
        for transform in e.transforms:
            z = transform(z)
        return base, u, z
    z = draw(e, noise, n_samples)
    return e, z, z
