"""Levels 0, 1, ..., n with a Beta law over the chance of each unit."""

from math import log

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class BetaBinomial(Distribution):
    """Batch of any shape, event (): how many of total_count, each with one probability that is Beta(a, b)."""

    arg_constraints = {  # noqa: RUF012 - as torch declares it
        "alpha": constraints.positive,
        "beta": constraints.positive,
    }

    def __init__(self, total_count: int, alpha: Tensor, beta: Tensor) -> None:
        self.total_count = total_count
        self.alpha, self.beta = torch.broadcast_tensors(alpha, beta)
        super().__init__(self.alpha.shape)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.total_count)

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats."""
        if self._validate_args:
            self._validate_sample(x)
        return self.log_mass(x, self.alpha, self.beta)

    def log_mass(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """log of (n over x) B(x + a, n - x + b) / B(a, b)."""
        n = self.total_count
        # 1 / (n over x) is (n + 1) B(x + 1, n - x + 1).
        choices = -_log_beta(x + 1.0, n - x + 1.0) - log(n + 1)
        return choices + _log_beta(x + alpha, n - x + beta) - _log_beta(alpha, beta)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
