"""Objectives: what training minimises, each a small class over rate and distortion.

An objective is a module so that what it adapts while it trains (a multiplier, a running rate) can be a
buffer, which is saved and resumed with the run. To add one: a class here, a line in OBJECTIVES, its name
in `Config.objective`.
"""

from collections.abc import Callable

import torch
from rdserve.models.rate_distortion import RateDistortion
from rdserve.trainer.config import Config
from torch import Tensor, nn


class Objective(nn.Module):
    """n_samples: posterior samples per image that `loss` wants."""

    n_samples = 1

    def loss(self, rd: RateDistortion, epoch: float) -> Tensor:
        """() what to minimise for one batch. epoch: how far training is, a fraction within an epoch."""
        raise NotImplementedError


class BetaVAE(Objective):
    """D + beta R (eq. 6), where beta may rise linearly from 0 over the first epochs (KL annealing)."""

    def __init__(self, beta: float, annealing_epochs: int = 0) -> None:
        super().__init__()
        self.beta = beta
        self.annealing_epochs = annealing_epochs

    def loss(self, rd: RateDistortion, epoch: float) -> Tensor:
        return torch.mean(rd.objective(self.beta * ramp(epoch, self.annealing_epochs)))


def ramp(epoch: float, n_epochs: int) -> float:
    """From 0 to 1 over n_epochs, then 1; with none, 1 from the start."""
    return min(1.0, epoch / n_epochs) if n_epochs else 1.0


OBJECTIVES: dict[str, Callable[[Config], Objective]] = {
    "beta-vae": lambda config: BetaVAE(config.beta, config.annealing_epochs),
}


def build(config: Config) -> Objective:
    """The objective that a config names."""
    return OBJECTIVES[config.objective](config)
