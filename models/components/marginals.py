"""Marginals: () -> m(z), batch (), event (Z,) (paper, appendix F.3).

Each is a module, called with no arguments, because m(z) may be learned.
"""

from collections.abc import Callable

import torch
from rdserve.models.distributions.spike_slab import SpikeSlab
from rdserve.models.networks.flows import MeanOnlyFlow
from rdserve.models.networks.layers import Size
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
)


class StandardNormal(nn.Module):
    """Marginal "-": N(0, I)."""

    zero: Tensor
    one: Tensor

    def __init__(self, n_latents: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(n_latents), persistent=False)
        self.register_buffer("one", torch.ones(n_latents), persistent=False)

    def forward(self) -> Independent[Normal]:
        return Independent(Normal(self.zero, self.one), 1)


class SparseMarginal(nn.Module):
    """Spike and slab: each latent is N(0, 1) with probability alpha, else 0."""

    spike: Tensor
    zero: Tensor
    one: Tensor

    def __init__(self, n_latents: int, alpha: float) -> None:
        super().__init__()
        self.register_buffer("spike", torch.logit(torch.full((n_latents,), alpha)), persistent=False)
        self.register_buffer("zero", torch.zeros(n_latents), persistent=False)
        self.register_buffer("one", torch.ones(n_latents), persistent=False)

    def forward(self) -> Independent[SpikeSlab]:
        return Independent(SpikeSlab(self.spike, self.zero, self.one), 1)


class FlowMarginal(nn.Module):
    """Marginal "+": N(0, I) pulled through a mean-only flow; densities of all latents at once."""

    def __init__(self, n_latents: int, flow: MeanOnlyFlow) -> None:
        super().__init__()
        self.base = StandardNormal(n_latents)
        self.flow = flow

    def forward(self) -> TransformedDistribution:
        return TransformedDistribution(self.base(), [self.flow.transform.inv])


class VampPrior(nn.Module):
    """Marginal "v": m(z) = sum_i w_i e(z|phi_i), pseudo-inputs phi and weights w learned
    (Tomczak and Welling, 2018)."""

    def __init__(self, encoder: nn.Module, image_size: Size, n_pseudo_inputs: int) -> None:
        super().__init__()
        # A bound method, not a submodule: the encoder's weights belong to the VAE, once.
        self.encode: Callable[[Tensor], Distribution] = encoder.__call__
        self.pseudo_inputs = nn.Parameter(torch.rand(n_pseudo_inputs, *image_size))
        self.logits = nn.Parameter(torch.zeros(n_pseudo_inputs))

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        """Start the pseudo-inputs at images (M, H, W), repeated as needed, softened off 0 and 1."""
        n = len(self.pseudo_inputs)
        chosen = images.to(self.pseudo_inputs).repeat(-(-n // len(images)), 1, 1)[:n]
        self.pseudo_inputs.copy_(0.9 * chosen + 0.05)

    def forward(self) -> Distribution:
        components = self.encode(self.pseudo_inputs.clamp(0, 1))
        return mixture(Categorical(logits=self.logits), components)


def mixture(weights: Categorical, components: Distribution) -> Distribution:
    """sum_i w_i p_i. Members that share a flow are mixed before it: one density, no inversion each."""
    if isinstance(components, TransformedDistribution):
        return TransformedDistribution(mixture(weights, components.base_dist), components.transforms)
    return MixtureSameFamily(weights, components)
