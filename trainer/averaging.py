"""Averages of a model's weights over the steps of its training."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def average_of(model: nn.Module, horizon: float) -> AveragedModel:
    """The exponential moving average of a model's weights over about `horizon` steps.

    Until there are so many it is their plain mean, so that the weights of the start are soon forgotten.
    """

    def update(averages: Tensors, weights: Tensors, n_averaged: Tensor | int) -> None:
        share = 1 / min(int(n_averaged) + 1, max(horizon, 1))
        torch._foreach_lerp_(averages, weights, share)

    return AveragedModel(model, multi_avg_fn=update)
