"""Rate and distortion per example, in nats: equations (4), (5) and (6) of the paper."""

from math import log
from typing import NamedTuple

import torch
from rdserve.models.distributions.draw import Draw, reparameterised
from rdserve.models.distributions.reparameterised import Reparameterised
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence


def rate(e: Distribution, m: Distribution, z: Tensor) -> Tensor:
    """log e(z|x) - log m(z), (K, B) nats; its mean over z ~ e(z|x) is KL(e||m) (eq. 5)."""
    # A function of noise may give both densities in one pass.
    log_m = e.log_marginal(z) if isinstance(e, Reparameterised) else None
    return e.log_prob(z) - (m.log_prob(z) if log_m is None else log_m)


def distortion(d: Distribution, x: Tensor) -> Tensor:
    """-log d(x|z), (K, B) nats (eq. 4)."""
    return -d.log_prob(x)


def analytic_rate(e: Distribution, m: Distribution) -> Tensor | None:
    """KL(e||m), (B,) nats, where torch knows a closed form; None elsewhere."""
    try:
        return kl_divergence(e, m)
    except NotImplementedError:
        return None


def exact_distortion(e: Distribution, decoder: nn.Module, x: Tensor) -> Tensor | None:
    """The mean of -log d(x|z) over z ~ e(z|x), (B,) nats, summed over every z where there are finitely
    many; None elsewhere."""
    if not e.has_enumerate_support:
        return None
    z = e.enumerate_support()
    return torch.sum(e.log_prob(z).exp() * distortion(decoder(z), x), 0)


class RateDistortion(NamedTuple):
    """What K posterior samples of B examples cost."""

    rate: Tensor  # (K, B) nats
    distortion: Tensor  # (K, B) nats
    exact_rate: Tensor | None = None  # (B,) nats, in closed form
    exact_distortion: Tensor | None = None  # (B,) nats, a sum over all z

    @property
    def expected_rate(self) -> Tensor:
        """(B,) nats: the closed form, or the mean over samples."""
        return self.rate.mean(0) if self.exact_rate is None else self.exact_rate

    @property
    def expected_distortion(self) -> Tensor:
        """(B,) nats: the sum over all z, or the mean over samples."""
        return self.distortion.mean(0) if self.exact_distortion is None else self.exact_distortion

    def objective(self, beta: float = 1.0) -> Tensor:
        """D + beta R, (B,) nats (eq. 6). The ELBO is its negative at beta = 1."""
        return self.expected_distortion + beta * self.expected_rate


class Evaluation(NamedTuple):
    """Rate and distortion, and what they were computed from."""

    rd: RateDistortion
    z: Tensor  # (K, B, Z)
    m: Distribution


def evaluate_with_codes(vae: VAE, x: Tensor, n_samples: int = 1, draw: Draw = reparameterised) -> Evaluation:
    """`evaluate`, for who also wants the codes and the marginal."""
    e, m = vae.encoder(x), vae.marginal()
    z = draw(e, n_samples)
    rd = RateDistortion(
        rate(e, m, z),
        distortion(vae.decoder(z), x),
        analytic_rate(e, m),
        exact_distortion(e, vae.decoder, x),
    )
    return Evaluation(rd, z, m)


def evaluate(vae: VAE, x: Tensor, n_samples: int = 1, draw: Draw = reparameterised) -> RateDistortion:
    """Rate and distortion of images x (B, H, W), with n_samples draws of z for each."""
    return evaluate_with_codes(vae, x, n_samples, draw).rd


def importance_bound(rd: RateDistortion) -> Tensor:
    """log (1/K) sum_k m(z_k) d(x|z_k) / e(z_k|x), (B,) nats: at most log p(x) on average, and
    never looser for more samples (Burda et al., 2016)."""
    return torch.logsumexp(-(rd.rate + rd.distortion), 0) - log(len(rd.rate))


def effective_sample_size(rd: RateDistortion) -> Tensor:
    """(sum w)^2 / sum w^2 of the K importance weights, (B,), from 1 to K."""
    w = torch.softmax(-(rd.rate + rd.distortion), 0)
    return 1 / w.square().sum(0)
