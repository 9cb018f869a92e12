"""Rate and distortion over a split, with the very noise that the service uses for the same seed."""

from typing import NamedTuple

import torch
from rdserve.models.card import Reference
from rdserve.models.noise import Keys
from rdserve.models.ops import score
from rdserve.models.vae import VAE
from rdserve.trainer.run import Means
from torch import Tensor

IMAGES_AT_ONCE = 512


class Measured(NamedTuple):
    """Of each image of a split."""

    rate: Tensor  # (N,) float64, nats
    distortion: Tensor  # (N,) float64, nats

    @property
    def means(self) -> Means:
        return Means(self.rate.mean().item(), self.distortion.mean().item())


@torch.inference_mode()
def measure(vae: VAE, images: Tensor, *, seed: int, n_samples: int = 1) -> Measured:
    """Images (N, H, W), each with n_samples draws of z. Image i has example id i."""
    step = max(1, IMAGES_AT_ONCE // n_samples)
    parts = []
    for start in range(0, len(images), step):
        x = images[start : start + step].float()
        example = torch.arange(start, start + len(x), device=images.device)
        scores = score(vae, x, Keys(torch.full_like(example, seed), example), n_samples)
        parts.append(torch.stack([scores.rate, scores.distortion]).double())
    rate, distortion = torch.cat(parts, 1).cpu()
    return Measured(rate, distortion)


def reference(measured: Measured, split: str, *, seed: int, n_samples: int) -> Reference:
    """The means as a card states them, each with its standard error over images."""
    root_n = len(measured.rate) ** 0.5
    return Reference(
        split=split,
        n_examples=len(measured.rate),
        seed=seed,
        n_samples=n_samples,
        rate_nats=measured.means.rate,
        rate_standard_error_nats=measured.rate.std().item() / root_n,
        distortion_nats=measured.means.distortion,
        distortion_standard_error_nats=measured.distortion.std().item() / root_n,
    )
