"""The paper's optimiser: Adam on gradients normalised per tensor (appendix F.4); learning rates over time."""

import math
from collections.abc import Callable
from typing import overload

import torch
from rdserve.trainer.config import Config
from torch import nn
from torch.optim import Adam, Optimizer

FLOOR = 1e-7  # as in the code of Tomczak and Welling (2018), whose normalisation this is


class NormalisedAdam(Adam):
    """Adam that first scales each parameter's gradient to norm 1: g / (||g|| + 1e-7) (Yu et al., 2017)."""

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        normalise_gradients(self)
        return super().step(closure)


@torch.no_grad()
def normalise_gradients(optimiser: Optimizer) -> None:
    """Divide the gradient of each parameter by its norm, in place."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad /= parameter.grad.norm() + FLOOR


OPTIMISERS: dict[str, type[Adam]] = {"normalised-adam": NormalisedAdam, "adam": Adam}


def build(config: Config, *modules: nn.Module) -> Adam:
    """The optimiser that a config names, over every parameter of the modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return OPTIMISERS[config.optimiser](parameters, lr=config.learning_rate, fused=True)


def learning_rate(config: Config, so_far: float) -> float:
    """The rate after so many epochs: a linear rise over the warm-up, then the config's schedule."""
    if so_far < config.warmup_epochs:
        return config.learning_rate * so_far / config.warmup_epochs
    done = (so_far - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.learning_rate * SCHEDULES[config.schedule](done)


# The share of the rate once the fraction `done` of training after the warm-up is over.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "half-linear": lambda done: min(1.0, 2 * (1 - done)),
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}
