"""Integer codes: those that an encoder computes, and the law under which all are as likely (van den Oord et
al., "Neural discrete representation learning", NeurIPS 2017)."""

from math import log
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl


class PointMass(Distribution):
    """All mass on one array of codes: int64 (..., *event), of which the last n_event_axes are the event."""

    support = constraints.real
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(self, codes: Tensor, n_event_axes: int) -> None:
        self.codes = codes
        split = codes.dim() - n_event_axes
        super().__init__(codes.shape[:split], codes.shape[split:])

    @property
    def mode(self) -> Tensor:
        return self.codes

    @property
    def variance(self) -> Tensor:
        return torch.zeros(self.codes.shape, dtype=torch.float64, device=self.codes.device)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.codes.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, z: Tensor) -> Tensor:
        """(...,) nats: 0 at the codes, minus infinity elsewhere."""
        same = (z == self.codes).flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, 0.0, -torch.inf).double()


class UniformCodes(Distribution):
    """Codes of event shape, each of n_codes values as likely: batch ()."""

    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(self, n_codes: int, event_shape: tuple[int, ...]) -> None:
        self.n_codes = n_codes
        super().__init__(torch.Size(), torch.Size(event_shape))

    @constraints.dependent_property(is_discrete=True)
    def support(self) -> constraints.Constraint:
        each = constraints.integer_interval(0, self.n_codes - 1)
        return constraints.independent(each, len(self.event_shape))

    def log_prob(self, z: Tensor) -> Tensor:
        """(...,) nats.

        Raises:
            ValueError: a code outside 0 to n_codes - 1.
        """
        if self._validate_args:
            self._validate_sample(z)
        batch = z.shape[: z.dim() - len(self.event_shape)]
        value = -self.event_shape.numel() * log(self.n_codes)
        return torch.full(batch, value, dtype=torch.float64, device=z.device)


@register_kl(PointMass, Distribution)  # type: ignore[untyped-decorator]
def _kl(q: PointMass, p: Distribution) -> Tensor:
    """What p says of the codes."""
    return -p.log_prob(q.codes)
