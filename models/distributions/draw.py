"""Drawing from a distribution with noise that is an argument, not global state.

`draw` is to sampling what `torch.distributions.kl_divergence` is to divergences: the law's type
selects the rule. Every rule is a deterministic function of (distribution, noise).
"""

from collections.abc import Callable
from functools import singledispatch

import torch
from rdserve.models.distributions.noise import Noise
from rdserve.models.distributions.pixel_autoregressive import PixelAutoregressive
from rdserve.models.distributions.spike_slab import SpikeSlab
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
)
from torch.nn import functional as F

Draw = Callable[[Distribution, int], Tensor]


def reparameterised(distribution: Distribution, n_samples: int) -> Tensor:
    """(K, *batch, *event) from torch's global generator, differentiable: what training uses."""
    return distribution.rsample((n_samples,))


@singledispatch
def draw(distribution: Distribution, noise: Noise, n_samples: int) -> Tensor:
    """(K, B, *event): K samples for each of the B rows that `noise` names.

    The batch shape is (B,), or () for one law that all rows share, as a marginal is.

    Raises:
        NotImplementedError: no rule for this kind of distribution.
    """
    raise NotImplementedError(f"no rule to draw from {type(distribution).__name__} with given noise")


@draw.register(Independent)
def _(distribution: Independent[Distribution], noise: Noise, n_samples: int) -> Tensor:
    shape = (n_samples, -1, *distribution.event_shape)
    size = distribution.event_shape.numel()
    law = distribution.base_dist
    if isinstance(law, Normal):
        return law.loc + law.scale * noise.normal(n_samples, size).view(shape)
    if isinstance(law, SpikeSlab):
        spikes = noise.choice.uniform(n_samples, size)
        return law.from_noise(spikes.view(shape), noise.normal(n_samples, size).view(shape))
    if isinstance(law, Bernoulli):
        return (noise.uniform(n_samples, size).view(shape) < law.probs).float()
    if isinstance(law, OneHotCategorical):
        n_rows = distribution.event_shape[:-1].numel()
        return one_hot(law, noise.uniform(n_samples, n_rows).view(*shape[:-1]))
    raise NotImplementedError(f"no rule to draw from independent {type(law).__name__} with given noise")


@draw.register(OneHotCategorical)
def _(distribution: OneHotCategorical, noise: Noise, n_samples: int) -> Tensor:
    return one_hot(distribution, noise.uniform(n_samples, 1).squeeze(-1))


@draw.register(TransformedDistribution)
def _(distribution: TransformedDistribution, noise: Noise, n_samples: int) -> Tensor:
    z = draw(distribution.base_dist, noise, n_samples)
    for transform in distribution.transforms:
        z = transform(z)
    return z


@draw.register(MixtureSameFamily)
def _(distribution: MixtureSameFamily, noise: Noise, n_samples: int) -> Tensor:
    member = choose(distribution.mixture_distribution, noise, n_samples)
    components = distribution.component_distribution
    if not (isinstance(components, Independent) and isinstance(components.base_dist, Normal)):
        raise NotImplementedError("only mixtures of Gaussians can be drawn from with given noise")
    law = components.base_dist
    return law.loc[member] + law.scale[member] * noise.normal(n_samples, law.loc.shape[-1])


@draw.register(PixelAutoregressive)
def _(distribution: PixelAutoregressive, noise: Noise, n_samples: int) -> Tensor:
    size = distribution.event_shape.numel()
    shape = (n_samples, -1, *distribution.event_shape)
    return distribution.sample_from(noise.uniform(n_samples, size).view(shape))


def one_hot(law: OneHotCategorical, u: Tensor) -> Tensor:
    """(*u.shape, N) draws from a law of N values, batch broadcastable to u's: the inverse of its CDF at u."""
    cdf = law.probs.double().cumsum(-1)[..., :-1]
    chosen = (u[..., None] >= cdf).sum(-1)
    return F.one_hot(chosen, law.event_shape[-1]).to(law.probs.dtype)


def choose(weights: Categorical, noise: Noise, n_samples: int) -> Tensor:
    """(K, B) int64: members of a mixture, by inverting the CDF of its weights."""
    u = noise.choice.uniform(n_samples, 1).squeeze(-1)
    cdf = weights.probs.double().cumsum(-1)
    # The last member takes whatever rounding leaves above the CDF.
    return torch.searchsorted(cdf[..., :-1].contiguous(), u, right=True)
