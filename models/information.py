"""What a model's code tells of x, in nats: I under the encoder, I_d under the generator, both bracketed.

Encoder's side, x from the data: H - D <= I <= R (eq. 2), and R = I + KL(e(z) || m(z)), e(z) the aggregate
posterior (appendix D.3). e(z) is taken as a mixture of the posteriors of the N images at hand. With the image
that z came from among them, the estimate of I is too low on average and never above log N; without it, too
high (Poole et al., On variational bounds of mutual information, ICML 2019, section 2).

Generator's side, (x, z) from m(z) d(x|z): E <= I_d <= G (appendix C),

    E = mean of log e(z|x) - log m(z)        G = mean of log d(x|z) - log q(x), for any density q.

q here is exp of the importance bound of K samples of e(z|x), at most the model's own g(x) = E_m d(x|z) for
every x, so that G stays an upper bound of I_d, and falls to it as K grows. If the z that x came from is one
of the K, the mean bounds log g from above instead (Sobolev and Vetrov, NeurIPS 2019): that raises E, which
is K = 1, towards I_d.
"""

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.rate_distortion import distortion, evaluate, importance_bound, rate
from rdserve.models.vae import VAE, frozen
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

# Numbers held at once: of pairs of codes and posteriors, and of pixels of samples.
ELEMENTS = 2**23
ROW_SAMPLES = 256
# Of log N: an estimate above it says no more than that N was too small.
SATURATED = 0.95


@dataclass(frozen=True)
class MonteCarloMean:
    """A mean over draws, and its standard error."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "MonteCarloMean":
        """Of values (N,)."""
        return cls(values.double().mean().item(), values.double().std().item() / len(values) ** 0.5)


@dataclass(frozen=True)
class Encoded:
    """On n images, one z each. low, high: the two estimates that bracket I; mismatch_*: KL(e(z) || m(z))."""

    n: int
    rate: MonteCarloMean
    distortion: MonteCarloMean
    low: MonteCarloMean
    high: MonteCarloMean
    mismatch_low: MonteCarloMean
    mismatch_high: MonteCarloMean

    @property
    def most(self) -> MonteCarloMean:
        """The lesser of the two that are at least I on average: `high`, which explodes where I is beyond
        log n, and R."""
        return min(self.high, self.rate, key=lambda mean: mean.value)

    @property
    def ceiling(self) -> float:
        """log n, which `low` cannot exceed."""
        return log(self.n)

    @property
    def saturated(self) -> bool:
        """Whether n images are too few to tell I: it is about log n or more."""
        return self.low.value > SATURATED * self.ceiling


@dataclass(frozen=True)
class Generated:
    """On n pairs (x, z) of the model's own, with k samples of e(z|x): e <= low <= I_d <= high on average."""

    n: int
    k: int
    e: MonteCarloMean
    low: MonteCarloMean
    high: MonteCarloMean


@torch.inference_mode()
def both(
    vae: VAE, images: NDArray[np.bool_], ids: NDArray[np.int64], *, seed: int, n_generated: int, k: int
) -> tuple[Encoded, Generated]:
    """Both sides: on images (N, H, W) with ids (N,), and on pairs 0, 1, ... of the model's own.

    Raises:
        ValueError: a single image.
    """
    fixed = frozen(vae)
    rows = torch.from_numpy(ids)
    inputs = encoded(fixed, torch.from_numpy(images).float(), _keys(rows, seed))
    return inputs, generated(fixed, _keys(torch.arange(n_generated), seed), k)


@torch.inference_mode()
def encoded(vae: VAE, x: Tensor, keys: NoiseKeys) -> Encoded:
    """The encoder's side on images x (N, H, W), N >= 2, under the noise of `keys`.

    Raises:
        ValueError: a single image.
    """
    if len(x) < 2:
        raise ValueError("a mixture that leaves one image out needs two, got 1")
    e, m = vae.encoder(x), vae.marginal()
    base, u, z = _codes(e, Noise(keys, Purpose.POSTERIOR))
    own = base.log_prob(u)
    with_self, without = mixtures(base, u)
    r = rate(e, m, z)
    parts = zip(z.split(ROW_SAMPLES), x.split(ROW_SAMPLES), strict=True)
    d = torch.cat([distortion(vae.decoder(codes), images) for codes, images in parts])
    return Encoded(
        len(x),
        rate=MonteCarloMean.of(r),
        distortion=MonteCarloMean.of(d),
        low=MonteCarloMean.of(own - with_self),
        high=MonteCarloMean.of(own - without),
        mismatch_low=MonteCarloMean.of(r - (own - without)),
        mismatch_high=MonteCarloMean.of(r - (own - with_self)),
    )


@torch.inference_mode()
def generated(vae: VAE, keys: NoiseKeys, k: int) -> Generated:
    """The generator's side on one pair (x, z) per key, with k samples of e(z|x)."""
    rows = [
        _pairs(vae, NoiseKeys(*part), k) for part in zip(*(key.split(_rows(k)) for key in keys), strict=True)
    ]
    e, low, high = torch.cat(rows, 1)
    return Generated(len(keys.seed), k, MonteCarloMean.of(e), MonteCarloMean.of(low), MonteCarloMean.of(high))


def mixtures(e: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """log of the mean over j of e_j(z_i), (N,): over all j, and over j other than i. e has batch (N,)."""
    n = len(z)
    every, others = [], []
    for i in torch.arange(n).split(max(1, ELEMENTS // max(1, z.numel()))):
        log_e = e.log_prob(z[i, None])
        every.append(log_e.logsumexp(1) - log(n))
        log_e[torch.arange(len(i)), i] = -torch.inf
        others.append(log_e.logsumexp(1) - log(n - 1))
    return torch.cat(every), torch.cat(others)


def _codes(e: Distribution, noise: Noise) -> tuple[Distribution, Tensor, Tensor]:
    """A code of each row (N, Z): before the flow that all rows share, with its law there, and after.

    A map that is one for all x changes every density at a place by one factor, so ratios are taken before it.
    """
    if isinstance(e, TransformedDistribution):
        base, u, z = _codes(e.base_dist, noise)
        for transform in e.transforms:
            z = transform(z)
        return base, u, z
    z = draw(e, noise, 1)[0]
    return e, z, z


def _pairs(vae: VAE, keys: NoiseKeys, k: int) -> Tensor:
    """(3, B): the terms of E, of its raised form, of G, one pair (x, z) per key."""
    m = vae.marginal()
    z = draw(m, Noise(keys, Purpose.PRIOR), 1)[0]
    d = vae.decoder(z)
    x = draw(d, Noise(keys, Purpose.PIXELS), 1)[0]
    log_d, log_ratio = d.log_prob(x), rate(vae.encoder(x), m, z)
    rd = evaluate(vae, x, k, lambda law, n: draw(law, Noise(keys, Purpose.POSTERIOR), n))
    log_w = -(rd.rate + rd.distortion)
    log_w[0] = log_d - log_ratio  # the z that x came from, in place of a sample
    above = log_w.logsumexp(0) - log(k)
    return torch.stack([log_ratio, log_d - above, log_d - importance_bound(rd)]).double()


def _keys(ids: Tensor, seed: int) -> NoiseKeys:
    return NoiseKeys(torch.full_like(ids, seed), ids)


def _rows(k: int) -> int:
    return max(1, ROW_SAMPLES // k)
