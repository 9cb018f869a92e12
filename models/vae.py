"""A VAE is three modules, and the call of each returns a distribution (paper, section 2).

    x --encoder--> e(z|x)      marginal() --> m(z)      z --decoder--> d(x|z)

There is no forward pass and no loss here: see `rdserve.models.rate_distortion`.
"""

from torch import nn
from torch.distributions import Distribution


class VAE(nn.Module):
    """
    encoder:  x (..., H, W) in {0, 1} -> e(z|x), batch (...,), event (Z,)
    marginal: ()                      -> m(z),   batch (),     event (Z,)
    decoder:  z (..., Z)              -> d(x|z), batch (...,), event (H, W)
    """

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
    return VAE(vae.encoder, Fixed(vae.marginal()), vae.decoder)
