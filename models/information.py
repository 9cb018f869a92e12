"""What a model's code tells of x, in nats: I under the encoder, I_d under the generator, both bracketed.

Encoder's side, x from the data: H - D <= I <= R (eq. 2), and R = I + KL(e(z) || m(z)), e(z) the aggregate
posterior (appendix D.3). e(z) is taken as a mixture of the posteriors of the N images at hand. With the image
that z came from among them, the estimate of I is too low on average and never above log N; without it, too
high (Poole et al., On variational bounds of mutual information, ICML 2019, section 2), without limit where I
is beyond log N. A density fitted to the codes of other images gives one too high as well, but by no more than
R is, and 4.6 nats (`code_density`).

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
from rdserve.models.code_density import CodeDensity, fit
from rdserve.models.codes import DrawnCodes, codes, log_densities
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.rate_distortion import distortion, evaluate, importance_bound, rate
from rdserve.models.vae import VAE, frozen
from torch import Tensor

# Images of samples held at once.
ROW_SAMPLES = 256
# Ids of the images that a density is fitted to: no noise of theirs is that of the images at hand.
OTHERS = 2**62
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
    """On n images, one z each. low, high: the two estimates that bracket I; mismatch_*: KL(e(z) || m(z)).

    fitted: at least I on average too, by a density fitted to codes of n_fitted other images.
    """

    n: int
    n_fitted: int
    rate: MonteCarloMean
    distortion: MonteCarloMean
    low: MonteCarloMean
    high: MonteCarloMean
    fitted: MonteCarloMean
    mismatch_low: MonteCarloMean
    mismatch_high: MonteCarloMean

    @property
    def most(self) -> MonteCarloMean:
        """The least of the three that are at least I on average: R, `fitted`, and `high`, which explodes
        where I is beyond log n."""
        return min(self.high, self.fitted, self.rate, key=lambda mean: mean.value)

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
    vae: VAE,
    images: NDArray[np.bool_],
    ids: NDArray[np.int64],
    others: NDArray[np.bool_],
    *,
    seed: int,
    n_generated: int,
    k: int,
) -> tuple[Encoded, Generated]:
    """Both sides: on images (N, H, W) with ids (N,), and on pairs 0, 1, ... of the model's own.

    others: (M, H, W), of which none is among the images: a density is fitted to their codes.

    Raises:
        ValueError: a single image.
    """
    fixed = frozen(vae)
    density = fit(fixed, _pixels(others), _keys(OTHERS + torch.arange(len(others)), seed))
    inputs = encoded(fixed, _pixels(images), _keys(torch.from_numpy(ids), seed), density)
    return inputs, generated(fixed, _keys(torch.arange(n_generated), seed), k)


@torch.inference_mode()
def encoded(vae: VAE, x: Tensor, keys: NoiseKeys, density: CodeDensity) -> Encoded:
    """The encoder's side on images x (N, H, W), N >= 2, under the noise of `keys`.

    density: fitted to codes of other images.

    Raises:
        ValueError: a single image.
    """
    if len(x) < 2:
        raise ValueError("a mixture that leaves one image out needs two, got 1")
    found = codes(vae, x, keys)
    with_self, without = mixtures(found)
    r = found.log_e - found.log_m
    parts = zip(found.z.split(ROW_SAMPLES), x.split(ROW_SAMPLES), strict=True)
    d = torch.cat([distortion(vae.decoder(z), images) for z, images in parts])
    return Encoded(
        len(x),
        density.n,
        rate=MonteCarloMean.of(r),
        distortion=MonteCarloMean.of(d),
        low=MonteCarloMean.of(found.log_e - with_self),
        high=MonteCarloMean.of(found.log_e - without),
        fitted=MonteCarloMean.of(found.log_e - density.log_prob(found)),
        mismatch_low=MonteCarloMean.of(r - (found.log_e - without)),
        mismatch_high=MonteCarloMean.of(r - (found.log_e - with_self)),
    )


@torch.inference_mode()
def generated(vae: VAE, keys: NoiseKeys, k: int) -> Generated:
    """The generator's side on one pair (x, z) per key, with k samples of e(z|x)."""
    rows = [
        _pairs(vae, NoiseKeys(*part), k) for part in zip(*(key.split(_rows(k)) for key in keys), strict=True)
    ]
    e, low, high = torch.cat(rows, 1)
    return Generated(len(keys.seed), k, MonteCarloMean.of(e), MonteCarloMean.of(low), MonteCarloMean.of(high))


def mixtures(of: DrawnCodes) -> tuple[Tensor, Tensor]:
    """log of the mean over j of e_j(u_i), (N,): over all j, and over j other than i. One code per image."""
    n, rows = len(of.u), torch.arange(len(of.u))
    every, others, first = [], [], 0
    for law in of.laws:
        log_e, own = log_densities(law, of.u), rows[first : first + law.batch_shape.numel()]
        every.append(log_e.logsumexp(1))
        log_e[own, own - first] = -torch.inf
        others.append(log_e.logsumexp(1))
        first += len(own)
    whole, left = (torch.stack(parts).logsumexp(0) for parts in (every, others))
    return whole - log(n), left - log(n - 1)


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


def _pixels(images: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(images).float()


def _keys(ids: Tensor, seed: int) -> NoiseKeys:
    return NoiseKeys(torch.full_like(ids, seed), ids)


def _rows(k: int) -> int:
    return max(1, ROW_SAMPLES // k)
