"""What an objective wants to know of a model on the validation split."""

import torch
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, Purpose
from rdserve.models.ops import encode, score
from rdserve.models.reference import IMAGES_AT_ONCE, chunks
from rdserve.models.vae import VAE
from rdserve.trainer.objectives import Objective, Validation, squared_mmd
from torch import Tensor


@torch.inference_mode()
def validate(vae: VAE, images: Tensor, objective: Objective, *, seed: int) -> Validation:
    """What the objective wants to know of a model on images (N, H, W). Image i has example id i.

    The discrepancy of codes is a mean over stretches of images: it is unbiased, and costs their square.
    """
    parts = []
    for x, keys in chunks(images, seed, max(1, IMAGES_AT_ONCE // objective.n_samples)):
        scores = score(vae, x, keys, objective.n_samples)
        mmd = torch.zeros_like(scores.rate)
        if objective.wants_codes:
            codes = encode(vae, x, keys, 1).latents[:, 0]
            mmd = mmd + squared_mmd(codes, draw(vae.marginal(), Noise(keys, Purpose.PRIOR), 1)[0])
        parts.append(torch.stack([scores.rate, scores.distortion, scores.importance_bound, mmd]).double())
    return Validation(*torch.cat(parts, 1).mean(1).tolist())
