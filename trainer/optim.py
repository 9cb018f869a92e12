"""The paper's optimiser: Adam on gradients normalised per tensor, and its learning rate (appendix F.4)."""

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


def learning_rate(config: Config, done: float) -> float:
    """The rate once the fraction `done` of training is over: constant for one half, then linear to 0."""
    return config.learning_rate * min(1.0, 2 * (1 - done))
