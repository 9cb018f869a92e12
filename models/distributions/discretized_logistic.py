"""Levels 0, 1, ..., L - 1 as cells of a logistic law, the outer two with its tails (Salimans et al.,
"PixelCNN++", ICLR 2017, section 2.1; Kingma et al., 2016).

    P(x) = sigmoid((x + 1/2 - m) / s) - sigmoid((x - 1/2 - m) / s)
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F


class DiscretizedLogistic(Distribution):
    """Batch of any shape, event (). loc and scale are in levels."""

    arg_constraints = {  # noqa: RUF012 - as torch declares it
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(self, loc: Tensor, scale: Tensor, levels: int) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.levels - 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats. x: whole numbers of a floating dtype."""
        if self._validate_args:
            self._validate_sample(x)
        # log(sigmoid(a) - sigmoid(b)) = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a))
        a = torch.where(x >= self.levels - 1, torch.inf, (x + 0.5 - self.loc) / self.scale)
        b = torch.where(x <= 0, -torch.inf, (x - 0.5 - self.loc) / self.scale)
        inner = (x > 0) & (x < self.levels - 1)
        width = torch.where(inner, torch.log(-torch.expm1(-1 / self.scale)), 0.0)
        return F.logsigmoid(a) + F.logsigmoid(-b) + width

    def icdf(self, u: Tensor) -> Tensor:
        """The level in whose cell the logistic law's quantile of u lies."""
        y = self.loc + self.scale * torch.logit(u)
        return y.round().clamp(0, self.levels - 1).to(self.loc.dtype)
