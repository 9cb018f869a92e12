"""Where weights start. The paper does not say; these make deep gated networks learn from the first step.

torch's own initialisation lets each gated layer pass on about a third of its input's standard deviation. Six
of them leave nothing of z in the logits, and training spends its first epochs as if there were no latents.
"""

from math import prod

import torch
from rdserve.models.components.marginals import VampPrior
from rdserve.models.networks.layers import GatedConv2d, GatedDeconv2d
from rdserve.models.vae import VAE
from torch import Tensor, nn

# a * sigmoid(b) has the variance of its input when a and b have 1.7 times its standard deviation.
GLU_GAIN = 1.7


def initialise(vae: VAE, images: Tensor) -> None:
    """Set gated layers to keep the variance of what they read, and pseudo-inputs to training images."""
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, GatedConv2d | GatedDeconv2d):
                nn.init.normal_(module.conv.weight, std=GLU_GAIN / n_terms(module) ** 0.5)
                if module.conv.bias is not None:
                    nn.init.zeros_(module.conv.bias)
    if isinstance(vae.marginal, VampPrior):
        vae.marginal.initialise(images)


def n_terms(layer: GatedConv2d | GatedDeconv2d) -> int:
    """How many inputs add up in one output."""
    conv = layer.conv
    taps, stride = prod(conv.kernel_size), conv.stride[0]
    if isinstance(layer, GatedConv2d):
        return conv.in_channels * taps
    if layer.size == conv.kernel_size:  # one pixel in, one tap for each pixel out
        return conv.in_channels
    return conv.in_channels * taps // stride**2
