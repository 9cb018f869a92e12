"""The paper's toy (section 4, appendix E): x and z take 30 values each, so nothing needs sampling.

    z* ~ Bernoulli        h|z* ~ N(mu, sigma)        x = bin of h

Every law is a table; R, D, H and I are exact sums over them, in nats.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence

N = 30
CLASS_WEIGHTS = (0.7, 0.3)
# In bins, read off the paper's figure 2a so that I(x; z*) = 0.5 nats; the paper prints no values.
CLASS_MEANS = (9.83, 19.24)
CLASS_SCALES = (2.265, 3.453)
# Names the data, of which there are no pixels to hash.
SHA256 = hashlib.sha256(repr((N, CLASS_WEIGHTS, CLASS_MEANS, CLASS_SCALES)).encode("ascii")).hexdigest()


class ToySource(NamedTuple):
    """Where the data come from: p(x, z*) as a table (30, 2)."""

    joint: Tensor

    @property
    def p(self) -> Tensor:
        """p(x), (30,)."""
        return self.joint.sum(1)

    @property
    def entropy(self) -> Tensor:
        """H(x)."""
        return Categorical(probs=self.p).entropy()

    @property
    def information(self) -> Tensor:
        """I(x; z*)."""
        return mutual_information(self.joint)


def toy_source() -> ToySource:
    """The paper's data."""
    edges = torch.arange(N + 1, dtype=torch.float64)[:, None] - 0.5
    law = Normal(torch.tensor(CLASS_MEANS).double(), torch.tensor(CLASS_SCALES).double())
    bins = law.cdf(edges).diff(dim=0)
    return ToySource(bins / bins.sum(0) * torch.tensor(CLASS_WEIGHTS).double())


def mutual_information(joint: Tensor) -> Tensor:
    """I of a joint table (..., A, B), in nats."""
    independent = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return (joint * (joint / independent).clamp_min(1e-300).log()).sum((-2, -1))


class Tables(NamedTuple):
    """A model of the toy, for any number of runs at once: log probabilities."""

    encoder: Tensor  # (..., x, z): log e(z|x)
    marginal: Tensor  # (..., z): log m(z)
    decoder: Tensor  # (..., z, x): log d(x|z)

    def rate(self, p: Tensor) -> Tensor:
        """R (eq. 5), (...)."""
        return (p[:, None] * self.encoder.exp() * (self.encoder - self.marginal[..., None, :])).sum((-2, -1))

    def distortion(self, p: Tensor) -> Tensor:
        """D (eq. 4), (...)."""
        return -(p[:, None] * self.encoder.exp() * self.decoder.mT).sum((-2, -1))

    def information(self, p: Tensor) -> Tensor:
        """I(X; Z) under the encoder (eq. 1), (...)."""
        return mutual_information(p[:, None] * self.encoder.exp())

    def generated(self) -> Tensor:
        """g(x) = sum_z m(z) d(x|z), (..., x)."""
        return torch.einsum("...z,...zx->...x", self.marginal.exp(), self.decoder.exp())

    def reconstructed(self) -> Tensor:
        """p(x'|x) = sum_z e(z|x) d(x'|z), (..., x, x')."""
        return self.encoder.exp() @ self.decoder.exp()

    def misfit(self, p: Tensor) -> Tensor:
        """KL(p* || g), (...)."""
        return kl_divergence(Categorical(probs=p), Categorical(probs=self.generated()))

    def class_mass(self, joint: Tensor) -> Tensor:
        """p(z, z*), (..., z, 2): where the encoder puts each true class."""
        return torch.einsum("xc,...xz->...zc", joint, self.encoder.exp())

    def accuracy(self, joint: Tensor) -> Tensor:
        """How often the likelier class given z is the true one, (...)."""
        return self.class_mass(joint).amax(-1).sum(-1)


def panels(tables: Tables, toy_source: ToySource) -> dict[str, NDArray[np.float64]]:
    """What the paper's figure 2 draws of one model: curves (30,) over x or z, and maps (30, 30)."""
    mass = tables.class_mass(toy_source.joint)
    shown = {
        "p(x)": toy_source.p,
        "g(x)": tables.generated(),
        "d(x)": toy_source.p @ tables.reconstructed(),
        "m(z)": tables.marginal.exp(),
        "e(z)": mass.sum(-1),
        "e(z, z*=0)": mass[:, 0],
        "e(z, z*=1)": mass[:, 1],
        "e(z|x)": tables.encoder.exp(),
        "d(x|z)": tables.decoder.exp(),
        "p(x'|x)": tables.reconstructed(),
    }
    return {name: table.numpy() for name, table in shown.items()}


def hand_made() -> Tables:
    """The paper's figure 2a: two latents, e the true posterior p(z*|x), d the true p(x|z*)."""
    joint = toy_source().joint
    tiny = torch.full((), -700.0, dtype=torch.float64)  # log of what counts as never
    encoder, decoder, marginal = tiny.repeat(N, N), tiny.repeat(N, N), tiny.repeat(N)
    at = [N // 2 - 1, N // 2]
    encoder[:, at] = (joint / joint.sum(1, keepdim=True)).log()
    decoder[:] = joint.sum(1).log()
    decoder[at] = (joint / joint.sum(0)).mT.log()
    marginal[at] = joint.sum(0).log()
    return Tables(encoder, marginal, decoder)
