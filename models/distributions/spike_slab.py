"""The spike-and-slab law of sparse codes (Tonolini et al., "Variational sparse coding", UAI 2019).

    z = 0 with probability 1 - gamma, else z ~ N(mu, s^2)

Densities are taken with respect to Lebesgue measure plus a unit mass at 0, so that log q - log p of two
such laws is what their divergence is the mean of. The paper's equation 6 prints s where s^2 is needed.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints, kl_divergence, register_kl
from torch.nn import functional as F

# Of the relaxed spike whose gradient stands for that of the real one.
TEMPERATURE = 0.5


class SpikeSlab(Distribution):
    """Batch of any shape, event (). spike: logits of gamma, the probability that z is not 0."""

    support = constraints.real
    arg_constraints = {  # noqa: RUF012 - as torch declares it
        "spike": constraints.real,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    has_rsample = True

    def __init__(self, spike: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.spike, self.loc, self.scale = torch.broadcast_tensors(spike, loc, scale)
        super().__init__(self.spike.shape)

    @property
    def active(self) -> Tensor:
        """gamma."""
        return torch.sigmoid(self.spike)

    @property
    def slab(self) -> Normal:
        """The law of z where it is not 0."""
        return Normal(self.loc, self.scale)

    @property
    def mean(self) -> Tensor:
        return self.active * self.loc

    @property
    def variance(self) -> Tensor:
        return self.active * (self.scale**2 + self.loc**2) - self.mean**2

    @property
    def mode(self) -> Tensor:
        """The likelier of the two parts: 0, or the slab's mean."""
        return torch.where(self.spike > 0, self.loc, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats; see the module for the measure."""
        off = F.logsigmoid(-self.spike)
        return torch.where(value == 0, off, F.logsigmoid(self.spike) + self.slab.log_prob(value))

    def from_noise(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """z from noise that broadcasts with the batch: uniform on (0, 1) for the spike, normal for the slab.

        Its value is a draw of this very law, so training sees the R and D that the model has. Its gradient in
        gamma is that of a relaxed spike (Jang et al.; Maddison et al., 2017), which is biased, while those in
        mu and s are not. docs/rate_distortion.md has an example.
        """
        # uniform < gamma, in logits
        spike = self.spike - torch.logit(uniform).to(self.spike.dtype)
        soft = torch.sigmoid(spike / TEMPERATURE)
        hard = (spike > 0).to(soft.dtype)
        return (hard + soft - soft.detach()) * (self.loc + self.scale * normal)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        uniform, normal = self.loc.new_empty((2, *shape)).unbind()
        tiny = torch.finfo(uniform.dtype).tiny
        return self.from_noise(uniform.uniform_().clamp_min(tiny), normal.normal_())


@register_kl(SpikeSlab, SpikeSlab)  # type: ignore[untyped-decorator]
def _kl(q: SpikeSlab, p: SpikeSlab) -> Tensor:
    """KL of the spikes, and of the slabs as often as q has one."""
    on = F.logsigmoid(q.spike) - F.logsigmoid(p.spike) + kl_divergence(q.slab, p.slab)
    off = F.logsigmoid(-q.spike) - F.logsigmoid(-p.spike)
    return q.active * on + torch.sigmoid(-q.spike) * off
