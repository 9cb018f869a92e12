"""The continuous Bernoulli law (Loaiza-Ganem and Cunningham, NeurIPS 2019), in its logits.

    p(x) = n exp(n x) / (exp(n) - 1),  0 <= x <= 1,  n = logit lambda

In this form nothing cancels beside lambda = 1/2, where torch's own class puts a polynomial for the density
and the uniform law for the quantile.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

# Below it a series is exact to the last digit of float64.
_SMALL = 1e-2


class ContinuousBernoulli(Distribution):
    """Batch of any shape, event (). A density on [0, 1], per unit of x."""

    support = constraints.unit_interval
    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 - as torch declares it

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats."""
        if self._validate_args:
            self._validate_sample(x)
        return self.logits * x - self._log_norm()

    def icdf(self, u: Tensor) -> Tensor:
        """log(1 + u (exp n - 1)) / n for n < 0. Where n > 0, 1 - x has the law with -n."""
        n = -self.logits.abs()
        flat = n == 0
        v = torch.where(self.logits > 0, 1 - u, u)
        x = torch.log1p(v * torch.expm1(n)) / torch.where(flat, -1.0, n)
        x = torch.where(flat, v, x).clamp(0, 1)
        return torch.where(self.logits > 0, 1 - x, x).to(self.logits.dtype)

    def _log_norm(self) -> Tensor:
        """log((exp n - 1) / n) = n/2 + log(sinh(n/2) / (n/2))."""
        half = self.logits.abs() / 2
        safe = torch.where(half < _SMALL, 1.0, half)
        far = safe + torch.log(-torch.expm1(-2 * safe) / (2 * safe))
        near = half.square() / 6 - half.square().square() / 180
        return self.logits / 2 + torch.where(half < _SMALL, near, far)
