"""A training run under way: what a step needs, and all that a resumed run must get back."""

from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from rdserve.models import families
from rdserve.models.execution.acceleration import compile_networks
from rdserve.models.reference import Means
from rdserve.models.vae import VAE
from rdserve.trainer import objectives, optim
from rdserve.trainer.averaging import average_of
from rdserve.trainer.config import Config
from rdserve.trainer.dropout import drop_out
from rdserve.trainer.initialise import initialise
from torch import Tensor
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel


class EpochMeans(NamedTuple):
    """After an epoch: how many are done, and the means over it and over the validation split."""

    epoch: int
    train: Means
    valid: Means


@dataclass
class Best:
    """The weights with the lowest goal of the objective on the validation split so far."""

    objective: float  # nats
    epoch: int
    weights: dict[str, Tensor]


@dataclass
class TrainingRun:
    """step: how many steps are done; totals: sums of rate, distortion and loss over the epoch so far;
    history: of each epoch done.

    No state of a random generator: all noise is a function of (seed, epoch, example).
    """

    config: Config
    vae: VAE
    objective: objectives.Objective
    optimiser: Adam
    totals: Tensor  # (3,) float64
    average: AveragedModel | None = None
    step: int = 0
    best: Best | None = None
    history: list[EpochMeans] = field(default_factory=list)

    @property
    def measured(self) -> VAE:
        """The model that is measured and kept: with averaged weights, where the config asks for them."""
        return cast(VAE, self.average.module) if self.average else self.vae

    @property
    def device(self) -> torch.device:
        return self.totals.device


def begin(
    config: Config, images: Tensor, start: VAE | None = None, compiler: str = "inductor"
) -> TrainingRun:
    """A run at step 0, where the training images (N, H, W) are; with the weights of `start`, if any.

    compiler: a backend of torch.compile, for a config that asks for it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        vae = families.build(config.architecture)
        initialise(vae, images)
    if start:
        vae.load_state_dict(start.state_dict())
    vae.to(images.device)
    vae.to(memory_format=memory_format(config))  # type: ignore[call-overload]  # torch's stubs lack it
    horizon = config.average_epochs * config.steps_per_epoch(len(images))
    average = average_of(vae, horizon) if horizon else None
    drop_out(vae, config.dropout)
    if config.execution == "compile":
        compile_networks(vae, compiler)
    objective = objectives.build(config).to(images.device)
    optimiser = optim.build(config, vae, objective)
    totals = torch.zeros(3, dtype=torch.float64, device=images.device)
    return TrainingRun(config, vae, objective, optimiser, totals, average)


def memory_format(config: Config) -> torch.memory_format:
    """How images lie in memory: bfloat16 convolutions are made for channels last, on CPU and GPU."""
    return torch.channels_last if config.precision == "bfloat16" else torch.contiguous_format
