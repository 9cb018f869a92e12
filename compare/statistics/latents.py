"""What the latents carry: active units, rate per dimension, collapsed or not."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rdserve.client.results import Encoding, ModelInfo

Float64 = NDArray[np.float64]

# Variance over examples of E z above which a unit is active: Y. Burda, R. Grosse and R. Salakhutdinov,
# Importance weighted autoencoders, ICLR 2016.
ACTIVE_VARIANCE = 0.01
# Nats per example below which all latents together carry nothing worth a name: R bounds from above what z
# tells of x (A. Alemi et al., Fixing a broken ELBO, ICML 2018, equation 4).
COLLAPSED_RATE = 0.1
# What stands at the name of a collapsed model, and what it means.
MARK, IGNORES = "†", "ignores its code"
LEGEND = f"{MARK} {IGNORES}: R below {COLLAPSED_RATE:g} nats"


@dataclass(frozen=True)
class Latents:
    """Facts about the Z latents of one model, from its posteriors on N examples.

    variance: (Z,) variance over examples of E[z|x]. active: (Z,) where that exceeds 0.01.
    rate_nats: (Z,) mean KL(e(z_j|x) || N(0, 1)); None where e(z|x) is no factorised Gaussian.
    rate_is_of_the_model: whether these add up to the model's R; not if its marginal is another than N(0, I).
    """

    variance: Float64
    active: NDArray[np.bool_]
    rate_nats: Float64 | None
    rate_is_of_the_model: bool

    @property
    def n_active(self) -> int:
        return int(self.active.sum())


def latents(info: "ModelInfo", encoding: "Encoding") -> Latents:
    """Active units and rates per dimension, as far as the family (encoder, decoder, marginal) defines them.

    A simple encoder is a Gaussian: `posterior_mode` and `posterior_scale` are all there is to know. A
    complex one has no mean in closed form; E[z|x] is then estimated from the K samples, and the variance
    of a unit of scale 1 is known to some sqrt(2 / N) / K: K = 16 tells 0.01 from nothing.
    """
    encoder, marginal = info.family[0], info.family[2]
    if encoder == "-":
        mean, scale = (np.asarray(v, np.float64) for v in (encoding.posterior_mode, encoding.posterior_scale))
        variance, rate = mean.var(0, ddof=1), gaussian_rate(mean, scale).mean(0)
        return Latents(variance, variance > ACTIVE_VARIANCE, rate, marginal == "-")
    variance = between_variance(np.asarray(encoding.latents, np.float64))
    return Latents(variance, variance > ACTIVE_VARIANCE, None, False)


def gaussian_rate(mean: Float64, scale: Float64) -> Float64:
    """KL(N(mean, scale^2) || N(0, 1)) element by element, nats."""
    return np.asarray((mean**2 + scale**2 - 1) / 2 - np.log(scale))


def between_variance(samples: Float64) -> Float64:
    """(Z,) variance over examples of E[z|x] from samples (N, K, Z), without what the sampling adds to it.

    Raises:
        ValueError: K = 1, where the two cannot be told apart.
    """
    n_samples = samples.shape[1]
    if n_samples < 2:
        raise ValueError(
            "the mean of a flow's posterior is estimated from samples: encode with n_samples >= 2, better 16"
        )
    within = samples.var(1, ddof=1).mean(0)
    return np.asarray(np.maximum(samples.mean(1).var(0, ddof=1) - within / n_samples, 0.0))


def collapsed(rate_nats: float) -> bool:
    """Whether a model ignores its code: a rate (nats per example, any marginal) below 0.1.

    The one place where that is decided; verdict, tables, planes and the report say it.
    """
    return rate_nats < COLLAPSED_RATE
