"""Laws of unit vectors: von Mises-Fisher (Davidson et al., "Hyperspherical variational auto-encoders",
UAI 2018), and uniform. Densities are with respect to the area of the sphere.

    p(z) = C exp(k mu.z),  |z| = 1,  in d dimensions

All that is needed is an integral over the angle t between z and mu, whose density is proportional to
sin(t)^(d-2) exp(k cos t): it is a smooth hump, and taken numerically.
"""

from functools import cached_property
from math import lgamma, log, pi

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

# Half the interval of angles, in widths of the hump: what lies outside weighs less than a word of noise.
WIDTHS = 12.0
CELLS = 1024
NODES = 192


class VonMisesFisher(Distribution):
    """Batch of any shape, event (d,), d >= 2. loc: (..., d), of any length but 0; concentration: k, (...,).

    Raises:
        ValueError: d is 1.
    """

    support = constraints.real_vector
    arg_constraints = {  # noqa: RUF012 - as torch declares it
        "loc": constraints.real_vector,
        "concentration": constraints.positive,
    }

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        if loc.shape[-1] < 2:
            raise ValueError(f"directions have 2 dimensions at least, got loc of shape {tuple(loc.shape)}")
        self.loc = loc / loc.norm(dim=-1, keepdim=True)
        self.concentration = concentration.expand(loc.shape[:-1])
        super().__init__(loc.shape[:-1], loc.shape[-1:])

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def mean(self) -> Tensor:
        return (1 - self._one_minus_cosine).to(self.loc.dtype)[..., None] * self.loc

    @property
    def variance(self) -> Tensor:
        """Of each coordinate: A/k + (1 - A^2 - d A/k) mu_i^2, A the mean of cos t."""
        a = 1 - self._one_minus_cosine
        across = a / self.concentration
        along = 1 - a.square() - self.event_shape[0] * across
        return (across[..., None] + along[..., None] * self.loc.square()).clamp_min(0).to(self.loc.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """(...,) nats, of z of length 1."""
        # 1 - mu.z without cancelling
        versine = (z - self.loc).square().sum(-1) / 2
        d = self.event_shape[0]
        return (-self.concentration * versine - self._log_integral - log_area(d - 1)).to(self.loc.dtype)

    def from_noise(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """z (K, *batch, d): the angle from uniform (K, *batch), the direction across from normal like z."""
        angle = self._angle(uniform)[..., None]
        across = normal - (normal * self.loc).sum(-1, keepdim=True) * self.loc
        across = across / across.norm(dim=-1, keepdim=True)
        z = torch.cos(angle) * self.loc + torch.sin(angle) * across
        return (z / z.norm(dim=-1, keepdim=True)).to(self.loc.dtype)

    @cached_property
    def _interval(self) -> tuple[Tensor, Tensor]:
        """Where the angle lies, (...,) each: about the top, where cos t = 2k / (n + sqrt(n^2 + 4k^2))."""
        k, n = self.concentration.double(), self.event_shape[0] - 2
        cosine = 2 * k / (n + torch.sqrt(n**2 + 4 * k.square()))
        top = torch.atan2(torch.sqrt(n * cosine / k), cosine)
        curvature = k * cosine + (k / cosine if n else 0)
        half = WIDTHS / curvature.sqrt()
        return (top - half).clamp_min(0), (top + half).clamp_max(pi)

    def _log_density(self, angle: Tensor) -> Tensor:
        """Of angles (..., N), up to a constant: log of sin(t)^(d-2) exp(k (cos t - 1))."""
        k, n = self.concentration.double()[..., None], self.event_shape[0] - 2
        along = -2 * k * torch.sin(angle / 2).square()
        return along + n * torch.log(torch.sin(angle)) if n else along

    @cached_property
    def _nodes(self) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre: angles (..., NODES) and the logs of their weights times the density."""
        low, high = (each[..., None] for each in self._interval)
        x, w = (torch.from_numpy(each).to(low.device) for each in np.polynomial.legendre.leggauss(NODES))
        angle = low + (high - low) * (x + 1) / 2
        return angle, self._log_density(angle) + torch.log(w * (high - low) / 2)

    @cached_property
    def _log_integral(self) -> Tensor:
        return torch.logsumexp(self._nodes[1], -1)

    @cached_property
    def _one_minus_cosine(self) -> Tensor:
        """Its mean, (...,)."""
        angle, weight = self._nodes
        return (torch.softmax(weight, -1) * 2 * torch.sin(angle / 2).square()).sum(-1)

    def _angle(self, u: Tensor) -> Tensor:
        """(K, *batch): the inverse of the CDF of a density that is linear between CELLS + 1 knots."""
        low, high = self._interval
        step = (high - low) / CELLS
        knots = low[..., None] + step[..., None] * torch.arange(CELLS + 1, device=low.device)
        # The sine of an outer knot may be 0, or rounded below.
        log_f = self._log_density(knots).nan_to_num(nan=-torch.inf)
        f = torch.exp(log_f - log_f.amax(-1, keepdim=True))
        cdf = torch.cumsum((f[..., 1:] + f[..., :-1]) / 2, -1)
        f, cdf = f / cdf[..., -1:], cdf / cdf[..., -1:]
        wanted = u.movedim(0, -1).contiguous()
        cell = torch.searchsorted(cdf.contiguous(), wanted, right=True).clamp_max(CELLS - 1)
        before = torch.nn.functional.pad(cdf, (1, 0)).gather(-1, cell)
        f0, f1 = f.gather(-1, cell), f.gather(-1, cell + 1)
        rest = wanted - before
        # rest = f0 s + (f1 - f0) s^2 / 2, s the share of the cell
        s = 2 * rest / (f0 + torch.sqrt((f0.square() + 2 * (f1 - f0) * rest).clamp_min(0)))
        angle = low[..., None] + step[..., None] * (cell + s.nan_to_num().clamp(0, 1))
        return angle.movedim(-1, 0)


class UniformSphere(Distribution):
    """Every unit vector of d dimensions alike: batch (), event (d,)."""

    support = constraints.real_vector
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(self, d: int) -> None:
        super().__init__(torch.Size(), torch.Size((d,)))

    def log_prob(self, z: Tensor) -> Tensor:
        """(...,) nats."""
        return torch.full(z.shape[:-1], -log_area(self.event_shape[0]), dtype=z.dtype, device=z.device)

    def from_noise(self, normal: Tensor) -> Tensor:
        """normal (..., d) -> z."""
        return normal / normal.norm(dim=-1, keepdim=True)


def log_area(d: int) -> float:
    """Of the unit sphere in d dimensions; in 1, of its two points."""
    return log(2) + d / 2 * log(pi) - lgamma(d / 2)


@register_kl(VonMisesFisher, UniformSphere)  # type: ignore[untyped-decorator]
def _kl(q: VonMisesFisher, p: UniformSphere) -> Tensor:
    d = p.event_shape[0]
    mean = -q.concentration * q._one_minus_cosine - q._log_integral - log_area(d - 1)
    return (mean + log_area(d)).to(q.loc.dtype)
