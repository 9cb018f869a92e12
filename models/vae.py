"""A VAE is three modules, and the call of each returns a distribution (paper, section 2).

    x --encoder--> e(z|x)      marginal() --> m(z)      z --decoder--> d(x|z)

There is no forward pass and no loss here: see `rdserve.models.rate_distortion`.
"""

import torch
from torch import nn
from torch.distributions import Distribution


class VAE(nn.Module):
    """
    encoder:  x (..., *x) -> e(z|x), batch (...,), event of z
    marginal: ()                      -> m(z),   batch (),     event of z
    decoder:  z (..., *z) -> d(x|z), batch (...,), event of x
    """

    # What x is given in.
    dtype = torch.float32

    def __init__(self, encoder: nn.Module, marginal: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.marginal = marginal
        self.decoder = decoder


class Fixed(nn.Module):
    """A marginal that has stopped learning: its law, computed once."""

    def __init__(self, law: Distribution) -> None:
        super().__init__()
        self.law = law

    def forward(self) -> Distribution:
        return self.law


def frozen(vae: VAE) -> VAE:
    """The same model for inference: m(z) is computed now, once, rather than at every call."""
    vae.eval().requires_grad_(False)
    fixed = VAE(vae.encoder, Fixed(vae.marginal()), vae.decoder)
    fixed.dtype = vae.dtype
    return fixed
