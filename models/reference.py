"""Rate and distortion over a split, with the very noise that the service uses for the same seed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from rdserve.models.card_parts import LEVELS, Quantiles, ReferenceScores
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.information import MonteCarloMean
from rdserve.models.ops import encode, score
from rdserve.models.vae import VAE
from torch import Tensor

IMAGES_AT_ONCE = 512


class Means(NamedTuple):
    """Over examples: of a split, or of an epoch so far."""

    rate: float  # nats
    distortion: float  # nats

    @property
    def elbo(self) -> float:
        """Nats."""
        return -(self.rate + self.distortion)


class Measured(NamedTuple):
    """Of each image of a split."""

    rate: Tensor  # (N,) float64, nats
    distortion: Tensor  # (N,) float64, nats

    @property
    def means(self) -> Means:
        return Means(self.rate.mean().item(), self.distortion.mean().item())


@torch.inference_mode()
def measure(vae: VAE, images: Tensor, *, seed: int, n_samples: int = 1) -> Measured:
    """Images (N, *x), each with n_samples draws of z. Image i has example id i."""
    parts = []
    for x, keys in chunks(images, seed, max(1, IMAGES_AT_ONCE // n_samples), vae.dtype):
        scores = score(vae, x, keys, n_samples)
        parts.append(torch.stack([scores.rate, scores.distortion]).double())
    rate, distortion = torch.cat(parts, 1).cpu()
    return Measured(rate, distortion)


@torch.inference_mode()
def latent_norms(vae: VAE, images: Tensor, *, seed: int) -> Tensor:
    """(N,) float64: of the z that `measure` with one draw gives each of the images (N, *x)."""
    parts = chunks(images, seed, IMAGES_AT_ONCE, vae.dtype)
    latents = torch.cat([encode(vae, x, keys, 1).latents[:, 0] for x, keys in parts])
    return latents.double().flatten(1).norm(dim=-1).cpu()


def chunks(
    images: Tensor, seed: int, step: int, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[Tensor, NoiseKeys]]:
    """So many images at a time, in that dtype, with the noise keys of their places."""
    for start in range(0, len(images), step):
        x = images[start : start + step].to(dtype)
        example = torch.arange(start, start + len(x), device=images.device)
        yield x, NoiseKeys(torch.full_like(example, seed), example)


def reference(vae: VAE, images: Tensor, split: str, *, seed: int, n_samples: int) -> ReferenceScores:
    """What a card states of a split: means with their standard errors over images, and quantiles.

    Quantiles are of one draw for each image, as most callers have it: the mean of more varies less.
    """
    measured = measure(vae, images, seed=seed, n_samples=n_samples)
    once = measure(vae, images, seed=seed) if n_samples > 1 else measured
    rate, distortion = map(MonteCarloMean.of, (measured.rate, measured.distortion))
    return ReferenceScores(
        split=split,
        n_examples=len(measured.rate),
        seed=seed,
        n_samples=n_samples,
        rate_nats=rate.value,
        rate_standard_error_nats=rate.standard_error,
        distortion_nats=distortion.value,
        distortion_standard_error_nats=distortion.standard_error,
        quantiles=Quantiles(
            rate_nats=_at_levels(once.rate),
            distortion_nats=_at_levels(once.distortion),
            latent_norm=_at_levels(latent_norms(vae, images, seed=seed)),
        ),
    )


def _at_levels(values: Tensor) -> tuple[float, float, float, float, float]:
    low, quarter, half, three_quarters, high = values.quantile(values.new_tensor(LEVELS)).tolist()
    return low, quarter, half, three_quarters, high
