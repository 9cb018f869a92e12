"""Dropout in autoregressive decoders, where PixelCNN++ has it: before a gated layer's second convolution."""

from functools import partial
from typing import Any

from rdserve.models.networks.pixelcnn import GatedLayer
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.nn import functional as F


def drop_out(vae: VAE, probability: float) -> None:
    """Let the model drop so many activations while it is in training mode; its weights are the same."""
    if probability:
        for layer in vae.modules():
            if isinstance(layer, GatedLayer):
                layer.second.register_forward_pre_hook(partial(_drop, probability))


def _drop(probability: float, module: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
    return F.dropout(inputs[0], probability, module.training)
