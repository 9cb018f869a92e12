"""Drawing from a distribution with noise that is an argument, not global state.

`draw` is to sampling what `torch.distributions.kl_divergence` is to divergences: the law's type
selects the rule. Every rule is a deterministic function of (distribution, noise).
"""

from collections.abc import Callable
from functools import singledispatch
from types import EllipsisType

import torch
from rdserve.models.distributions.autoregressive import Autoregressive, DrawTooLarge
from rdserve.models.distributions.discretized_logistic_rgb import DiscretizedLogisticMixtureRGB
from rdserve.models.distributions.draw_entries import EventNoise, draw_entries
from rdserve.models.distributions.inverse_cdf import members
from rdserve.models.distributions.noise import Noise, RememberedNoise
from rdserve.models.distributions.pixel_autoregressive import PixelAutoregressive
from rdserve.models.distributions.point_mass import PointMass, UniformCodes
from rdserve.models.distributions.reparameterised import Reparameterised, ReparameterisedMarginal
from rdserve.models.distributions.von_mises_fisher import UniformSphere, VonMisesFisher
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
)

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
    return draw_entries(distribution.base_dist, EventNoise(noise, n_samples, distribution.event_shape))


@draw.register(OneHotCategorical)
def _(distribution: OneHotCategorical, noise: Noise, n_samples: int) -> Tensor:
    return draw_entries(distribution, EventNoise(noise, n_samples, distribution.event_shape))


@draw.register(TransformedDistribution)
def _(distribution: TransformedDistribution, noise: Noise, n_samples: int) -> Tensor:
    z = draw(distribution.base_dist, noise, n_samples)
    for transform in distribution.transforms:
        z = transform(z)
    return z


@draw.register(MixtureSameFamily)
def _(distribution: MixtureSameFamily, noise: Noise, n_samples: int) -> Tensor:
    components = distribution.component_distribution
    if not (isinstance(components, Independent) and isinstance(components.base_dist, Normal)):
        raise NotImplementedError("only mixtures of Gaussians can be drawn from with given noise")
    u = noise.choice.uniform(n_samples, 1).squeeze(-1)
    member = members(distribution.mixture_distribution.probs, u)
    law, normal = components.base_dist, EventNoise(noise, n_samples, distribution.event_shape).normal()
    return law.loc[member] + law.scale[member] * normal


@draw.register(MultivariateNormal)
def _(distribution: MultivariateNormal, noise: Noise, n_samples: int) -> Tensor:
    normal = noise.normal(n_samples, distribution.event_shape.numel())
    # A product of matrices would add up in an order that depends on how many there are.
    spread = torch.stack([(distribution._unbroadcasted_scale_tril * e[:, None]).sum(-1) for e in normal])
    return distribution.loc + spread


@draw.register(VonMisesFisher)
def _(distribution: VonMisesFisher, noise: Noise, n_samples: int) -> Tensor:
    u = noise.choice.uniform(n_samples, 1).squeeze(-1)
    return distribution.from_noise(u, noise.normal(n_samples, distribution.event_shape[0]).double())


@draw.register(UniformSphere)
def _(distribution: UniformSphere, noise: Noise, n_samples: int) -> Tensor:
    return distribution.from_noise(noise.normal(n_samples, distribution.event_shape[0]))


@draw.register(DiscretizedLogisticMixtureRGB)
def _(distribution: DiscretizedLogisticMixtureRGB, noise: Noise, n_samples: int) -> Tensor:
    choice = EventNoise(noise.choice, n_samples, distribution.space).uniform()
    return distribution.from_uniform(choice, EventNoise(noise, n_samples, distribution.event_shape).uniform())


@draw.register(PointMass)
def _(distribution: PointMass, noise: Noise, n_samples: int) -> Tensor:
    return distribution.rsample((n_samples,))


@draw.register(UniformCodes)
def _(distribution: UniformCodes, noise: Noise, n_samples: int) -> Tensor:
    u = EventNoise(noise, n_samples, distribution.event_shape).uniform()
    return (u * distribution.n_codes).long()


@draw.register(Reparameterised)
def _(distribution: Reparameterised, noise: Noise, n_samples: int) -> Tensor:
    return distribution.from_noise(noise.normal(n_samples, distribution.noise_size))


@draw.register(ReparameterisedMarginal)
def _(distribution: ReparameterisedMarginal, noise: Noise, n_samples: int) -> Tensor:
    return distribution.from_noise(noise.normal(n_samples, distribution.noise_size))


@draw.register(PixelAutoregressive)
def _(distribution: PixelAutoregressive, noise: Noise, n_samples: int) -> Tensor:
    return distribution.sample_from(EventNoise(noise, n_samples, distribution.event_shape).uniform())


@draw.register(Autoregressive)
def _(distribution: Autoregressive, noise: Noise, n_samples: int) -> Tensor:
    """Entry by entry: the draw of all entries at the same words, of which one is taken."""
    shape = distribution.event_shape
    if shape.numel() > distribution.max_entries:
        raise DrawTooLarge(
            f"{shape.numel()} entries are drawn one pass of the decoder each; at most "
            f"{distribution.max_entries} are. Scores take one pass, whatever the size"
        )
    noise = RememberedNoise(*noise)
    x = torch.zeros(n_samples, len(noise.keys.seed), *shape, device=noise.keys.seed.device)
    for entry in distribution.entries():
        index: tuple[EllipsisType | int, ...] = (..., *entry)
        drawn = draw(distribution.given(x), noise, n_samples)
        x = x.to(drawn.dtype)
        x[index] = drawn[index]
    return x
