"""A density of codes, fitted to those of other images: an upper bound on I that cannot explode.

The mean of log e(z|x) - log r(z) is I + KL(e(z) || r), at least I for any density r that the images and codes
at hand had no part in (Barber and Agakov, 2003; Poole et al., 2019, section 2.1). r = m gives R. Here

    r = w_0 m + w_1 (1/N) sum_j e(z|x_j) + w_2 g_1 + w_3 g_4 + ...

with the posteriors of at most 2,048 other images x_j, and mixtures g_c of c Gaussians of full covariance that
are fitted to the codes of all. The weights are those of most likelihood for codes of images that no part was
fitted to. w_0 is at least LEAST_MARGINAL, so that log r is at no code below log m by more than 4.6 nats, nor
the bound above R by more.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rdserve.models.codes import PASS, DrawnCodes, codes, log_mixture
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.vae import VAE
from torch import Tensor
from torch.distributions import Independent, Normal

LEAST_MARGINAL = 0.01
# Of every so many images one is left to choose the weights by.
HELD_OUT = 10
COMPONENTS = (1, 4, 16)
MOST_POSTERIORS = 2048
# Codes that a Gaussian needs, times the latents; codes drawn of few images, in all and at most of each.
PER_DIMENSION, ENOUGH, MOST_EACH = 10, 8000, 8
# Of the variance of the codes: what none of a mixture's directions falls below.
LEAST_VARIANCE = 1e-4
EM_STEPS = 300

Part = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CodeDensity:
    """Of codes before the flow. weights: (1 + parts,), the marginal's first. n: images it was fitted to."""

    parts: tuple[Part, ...]
    weights: Tensor
    n: int

    def log_prob(self, of: DrawnCodes) -> Tensor:
        """(S N,) nats."""
        return (_columns(self.parts, of) + self.weights.log()).logsumexp(1)


@torch.inference_mode()
def fit(vae: VAE, x: Tensor, keys: NoiseKeys) -> CodeDensity:
    """To codes of images x (N, H, W), N >= 2, under the noise of `keys`.

    Raises:
        ValueError: a single image.
    """
    if len(x) < 2:
        raise ValueError(f"a density is fitted to one image and weighed by another, got {len(x)}")
    held = torch.arange(len(x)) % HELD_OUT == 1
    draws = min(MOST_EACH, -(-ENOUGH // len(x)))
    known = codes(vae, x[~held], _of(keys, ~held), draws)
    mixed = known.laws[: MOST_POSTERIORS // PASS]
    parts = (lambda u: log_mixture(mixed, u), *_gaussians(known))
    weights = _weights(_columns(parts, codes(vae, x[held], _of(keys, held), draws)))
    weights = (1 - LEAST_MARGINAL) * weights
    weights[0] += LEAST_MARGINAL
    return CodeDensity(parts, weights, len(x))


def _columns(parts: tuple[Part, ...], of: DrawnCodes) -> Tensor:
    """(n, 1 + parts): log density of every code under the marginal and each part."""
    return torch.stack([of.log_m, *(part(of.u) for part in parts)], 1)


def _weights(log_densities: Tensor) -> Tensor:
    """(J,): the mixture of most likelihood of J densities, given at n codes (n, J), by EM."""
    log_w = torch.full_like(log_densities[0], -np.log(log_densities.shape[1]))
    for _ in range(EM_STEPS):
        log_w = (log_densities + log_w).log_softmax(1).logsumexp(0) - np.log(len(log_densities))
    return log_w.exp()


def _gaussians(known: DrawnCodes) -> list[Part]:
    """None where codes have atoms, or are too few."""
    law = known.laws[0]
    if not (isinstance(law, Independent) and isinstance(law.base_dist, Normal)):
        return []
    n, size = known.u.shape
    return [_gaussian_mixture(known.u, c) for c in COMPONENTS if c * PER_DIMENSION * size <= n]


def _gaussian_mixture(u: Tensor, n_components: int) -> Part:
    """Fitted to codes (n, Z), each latent in units of its deviation."""
    from sklearn.mixture import GaussianMixture

    values = u.double().numpy()
    scale = np.maximum(values.std(0), np.finfo(np.float32).tiny)
    model = GaussianMixture(n_components, reg_covar=LEAST_VARIANCE, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one that did not converge is a density too
        model.fit(values / scale)
    log_volume = np.log(scale).sum()
    return lambda at: torch.from_numpy(model.score_samples(at.double().numpy() / scale) - log_volume)


def _of(keys: NoiseKeys, rows: Tensor) -> NoiseKeys:
    return NoiseKeys(keys.seed[rows], keys.example[rows])
