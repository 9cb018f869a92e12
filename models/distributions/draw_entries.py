"""Draws of independent entries, each from its own words of noise."""

from functools import singledispatch
from typing import NamedTuple

from rdserve.models.distributions.beta_binomial import BetaBinomial
from rdserve.models.distributions.continuous_bernoulli import ContinuousBernoulli
from rdserve.models.distributions.counts import first_count, negative_binomial, poisson
from rdserve.models.distributions.discretized_logistic import DiscretizedLogistic
from rdserve.models.distributions.inverse_cdf import members, pick
from rdserve.models.distributions.noise import Noise
from rdserve.models.distributions.spike_slab import SpikeSlab
from torch import Size, Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Laplace,
    MixtureSameFamily,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
)
from torch.nn import functional as F


class EventNoise(NamedTuple):
    """Noise in the shape of K samples of B events, (K, B, *event)."""

    noise: Noise
    n_samples: int
    event_shape: Size

    def uniform(self) -> Tensor:
        """float64, on (0, 1)."""
        return self._shaped(self.noise.uniform(self.n_samples, self.event_shape.numel()))

    def normal(self) -> Tensor:
        """float32, standard normal."""
        return self._shaped(self.noise.normal(self.n_samples, self.event_shape.numel()))

    @property
    def choice(self) -> "EventNoise":
        """That of the choice among parts, for each entry."""
        return self._replace(noise=self.noise.choice)

    def _shaped(self, flat: Tensor) -> Tensor:
        return flat.view(self.n_samples, -1, *self.event_shape)


@singledispatch
def draw_entries(law: Distribution, noise: EventNoise) -> Tensor:
    """(K, B, *event) draws of a law of entries, whose batch broadcasts to that shape.

    Raises:
        NotImplementedError: no rule for this kind of law.
    """
    raise NotImplementedError(f"no rule to draw from independent {type(law).__name__} with given noise")


@draw_entries.register
def _(law: Normal, noise: EventNoise) -> Tensor:
    return law.loc + law.scale * noise.normal()


@draw_entries.register
def _(law: SpikeSlab, noise: EventNoise) -> Tensor:
    return law.from_noise(noise.choice.uniform(), noise.normal())


@draw_entries.register
def _(law: Laplace, noise: EventNoise) -> Tensor:
    return law.icdf(noise.uniform()).to(law.loc.dtype)


@draw_entries.register
def _(law: Bernoulli, noise: EventNoise) -> Tensor:
    return (noise.uniform() < law.probs).to(law.probs.dtype)


@draw_entries.register
def _(law: ContinuousBernoulli, noise: EventNoise) -> Tensor:
    return law.icdf(noise.uniform())


@draw_entries.register
def _(law: Categorical, noise: EventNoise) -> Tensor:
    return members(law.probs, noise.uniform())


@draw_entries.register
def _(law: OneHotCategorical, noise: EventNoise) -> Tensor:
    """The last axis of the event is the one that holds a single 1."""
    u = noise._replace(event_shape=noise.event_shape[:-1]).uniform()
    return F.one_hot(members(law.probs, u), law.event_shape[-1]).to(law.probs.dtype)


@draw_entries.register
def _(law: DiscretizedLogistic, noise: EventNoise) -> Tensor:
    return law.icdf(noise.uniform())


@draw_entries.register
def _(law: MixtureSameFamily, noise: EventNoise) -> Tensor:
    parts = law.component_distribution
    if not isinstance(parts, DiscretizedLogistic):
        raise NotImplementedError(
            f"no rule to draw from independent mixtures of {type(parts).__name__} with given noise"
        )
    member = members(law.mixture_distribution.probs, noise.choice.uniform())
    chosen = DiscretizedLogistic(pick(parts.loc, member), pick(parts.scale, member), parts.levels)
    return chosen.icdf(noise.uniform())


@draw_entries.register
def _(law: Poisson, noise: EventNoise) -> Tensor:
    return poisson(law.rate, noise.uniform()).to(law.rate.dtype)


@draw_entries.register
def _(law: NegativeBinomial, noise: EventNoise) -> Tensor:
    count = negative_binomial(law.total_count, law.logits, noise.uniform(), lambda: noise.choice.uniform())
    return count.to(law.logits.dtype)


@draw_entries.register
def _(law: BetaBinomial, noise: EventNoise) -> Tensor:
    count = first_count(law.log_mass, (law.alpha, law.beta), noise.uniform(), law.total_count)
    return count.to(law.alpha.dtype)
