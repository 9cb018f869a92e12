"""Objectives: what training minimises, each a small class over rate and distortion.

An objective is a module so that what it adapts while it trains (a multiplier, a running rate) can be a
buffer, which is saved and resumed with the run. To add one: a class here, a line in OBJECTIVES, its name
in `Config.objective`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from rdserve.models.rate_distortion import RateDistortion, importance_bound
from rdserve.trainer.config import Config
from torch import Tensor, nn

RUNNING_DECAY = 0.99


class Codes(NamedTuple):
    """Latents of one batch: one draw of z for each image, and as many draws from the marginal."""

    posterior: Tensor  # (B, Z)
    marginal: Tensor  # (B, Z)


class Validation(NamedTuple):
    """Where a model stands on the validation split: means over its images, nats, of `n_samples` draws each.

    squared_mmd: of codes and as many draws from the marginal; 0 where the objective does not look at them.
    """

    rate: float
    distortion: float
    importance_bound: float
    squared_mmd: float = 0.0


class RunningMean(nn.Module):
    """Of a number per step, the later ones weighing more: unbiased from the first step on."""

    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def add(self, value: Tensor) -> Tensor:
        """() the mean, this value included."""
        self.total.lerp_(value.detach(), 1 - RUNNING_DECAY)
        self.weight.lerp_(torch.ones_like(self.weight), 1 - RUNNING_DECAY)
        return self.total / self.weight


class Objective(nn.Module):
    """n_samples: posterior samples per image that `loss` wants; wants_codes: whether it looks at z."""

    n_samples = 1
    wants_codes = False

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        """() what to minimise for one batch. epoch: how far training is, a fraction within an epoch."""
        raise NotImplementedError

    def goal(self, at: Validation) -> float:
        """What is minimised, nats, as it stands on the validation split at the end of training's settings."""
        raise NotImplementedError


class BetaVAE(Objective):
    """D + beta R (eq. 6), where beta may rise linearly from 0 over the first epochs (KL annealing;
    Bowman et al., 2016)."""

    def __init__(self, beta: float, annealing_epochs: int = 0) -> None:
        super().__init__()
        self.beta = beta
        self.annealing_epochs = annealing_epochs

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        return torch.mean(rd.objective(self.beta * ramp(epoch, self.annealing_epochs)))

    def goal(self, at: Validation) -> float:
        return at.distortion + self.beta * at.rate


class TargetRate(Objective):
    """D + w |sigma - R| (section 3), w = 1 in the first half of training and 4 in the second.

    The paper's w is 1 throughout, which lets R drift along the diagonal above sigma; 4 from the start
    wastes the rate it asks for. The sign is that of a running mean: |sigma - R| of a batch is too large.
    """

    def __init__(self, target: float, epochs: int) -> None:
        super().__init__()
        self.target, self.epochs = target, epochs
        self.running = RunningMean()

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        rate = rd.expected_rate.mean()
        weight = 1.0 if 2 * epoch < self.epochs else 4.0
        side = torch.sign(self.running.add(rate) - self.target)
        return rd.expected_distortion.mean() + weight * side * (rate - self.target)

    def goal(self, at: Validation) -> float:
        return at.distortion + 4 * abs(self.target - at.rate)


class Geco(Objective):
    """D + beta R, where beta follows the running rate towards a target: up while R is above it, down
    while below (the mirror image of Rezende and Viola's GECO, 2018, which constrains D)."""

    STEP = 0.01  # largest change of log beta in one step
    LIMIT = 10.0  # of |log beta|: a rate out of reach must not overflow

    log_beta: Tensor

    def __init__(self, target: float) -> None:
        super().__init__()
        self.target = target
        self.running = RunningMean()
        self.register_buffer("log_beta", torch.zeros(()))

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        rate = rd.expected_rate.mean()
        error = ((self.running.add(rate) - self.target) / max(self.target, 1.0)).clamp(-1, 1)
        self.log_beta.add_(self.STEP * error).clamp_(-self.LIMIT, self.LIMIT)
        return rd.expected_distortion.mean() + self.log_beta.exp() * rate

    def goal(self, at: Validation) -> float:
        return at.distortion + 4 * abs(self.target - at.rate)


class FreeBits(Objective):
    """D + beta max(lambda, R): the first lambda nats of rate are free (Kingma et al., 2016).

    On the total rate of the batch: with a flow or a VampPrior it does not split over dimensions.
    """

    def __init__(self, beta: float, free_nats: float) -> None:
        super().__init__()
        self.beta, self.free_nats = beta, free_nats

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        rate = rd.expected_rate.mean().clamp_min(self.free_nats)
        return rd.expected_distortion.mean() + self.beta * rate

    def goal(self, at: Validation) -> float:
        return at.distortion + self.beta * max(self.free_nats, at.rate)


class InfoVAE(Objective):
    """D + (1 - alpha) R + (alpha + lambda - 1) MMD^2(p_e(z), m(z)) (Zhao et al., 2017)."""

    wants_codes = True

    def __init__(self, alpha: float, weight: float) -> None:
        super().__init__()
        self.alpha, self.weight = alpha, weight

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        assert codes is not None
        priced = torch.mean(rd.objective(1 - self.alpha))
        return priced + (self.alpha + self.weight - 1) * squared_mmd(codes.posterior, codes.marginal)

    def goal(self, at: Validation) -> float:
        priced = at.distortion + (1 - self.alpha) * at.rate
        return priced + (self.alpha + self.weight - 1) * at.squared_mmd


class IWAE(Objective):
    """-log (1/K) sum_k m(z_k) d(x|z_k) / e(z_k|x) (Burda et al., 2016): tighter than R + D, and no longer
    their sum. The model is still measured by its R and D."""

    def __init__(self, n_samples: int) -> None:
        super().__init__()
        self.n_samples = n_samples

    def loss(self, rd: RateDistortion, epoch: float, codes: Codes | None = None) -> Tensor:
        return -importance_bound(rd).mean()

    def goal(self, at: Validation) -> float:
        return -at.importance_bound


def ramp(epoch: float, n_epochs: int) -> float:
    """From 0 to 1 over n_epochs, then 1; with none, 1 from the start."""
    return min(1.0, epoch / n_epochs) if n_epochs else 1.0


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """() unbiased squared maximum mean discrepancy of samples a, b (B, Z); inverse multiquadratic kernel."""
    scale = 2.0 * a.shape[-1]

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return scale / (scale + torch.cdist(x, y).square())

    def within(x: Tensor) -> Tensor:
        n = len(x)
        return (kernel(x, x).sum() - n) / max(n * (n - 1), 1)

    return within(a) + within(b) - 2 * kernel(a, b).mean()


OBJECTIVES: dict[str, Callable[[Config], Objective]] = {
    "beta-vae": lambda config: BetaVAE(config.beta, config.annealing_epochs),
    "target-rate": lambda config: TargetRate(config.target_rate, config.epochs),
    "geco": lambda config: Geco(config.target_rate),
    "free-bits": lambda config: FreeBits(config.beta, config.free_nats),
    "info-vae": lambda config: InfoVAE(config.info_alpha, config.info_lambda),
    "iwae": lambda config: IWAE(config.importance_samples),
}


def build(config: Config) -> Objective:
    """The objective that a config names."""
    return OBJECTIVES[config.objective](config)
