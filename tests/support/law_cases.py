"""One example of every law by name: 4 rows, and events small enough to check each entry."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import torch
from rdserve.models.distributions.named_laws import likelihood, marginal, posterior
from torch import Tensor, nn
from torch.distributions import Distribution

ROWS = 4


class LikelihoodCase(NamedTuple):
    """outcomes: values of x that hold all mass but a negligible part; None for densities."""

    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, object]
    event: tuple[int, ...] = (3,)
    outcomes: int | None = None

    def law(self, name: str, rows: slice = slice(None)) -> Distribution:
        """Of these rows."""
        tensors = {key: tensor[rows] for key, tensor in self.tensors.items()}
        return likelihood(name, tensors, self.arguments, self.event)


class PosteriorCase(NamedTuple):
    """marginal: a law with which the divergence has a closed form, its tensors and arguments."""

    tensors: Mapping[str, Tensor]
    event: tuple[int, ...]
    marginal: tuple[str, Mapping[str, Tensor], Mapping[str, object]]

    def law(self, name: str, rows: slice = slice(None)) -> Distribution:
        """Of these rows."""
        return posterior(name, {key: tensor[rows] for key, tensor in self.tensors.items()}, {}, self.event)

    def m(self) -> Distribution:
        """m(z)."""
        return marginal(*self.marginal, self.event)


def likelihoods(event: tuple[int, ...] = (3,), rows: int = ROWS) -> dict[str, LikelihoodCase]:
    """A case for each law of independent entries, in float64."""
    g = torch.Generator().manual_seed(1)

    def normal(*trailing: int) -> Tensor:
        return torch.randn(rows, *event, *trailing, generator=g, dtype=torch.float64)

    grey = {"levels": 256, "network_range": (-1, 1)}
    return {
        "bernoulli": LikelihoodCase({"logits": normal()}, {}, event, 2),
        "continuous_bernoulli": LikelihoodCase({"logits": 4 * normal()}, {}, event),
        "categorical": LikelihoodCase({"logits": 2 * normal(256)}, {"levels": 256}, event, 256),
        "discretized_logistic": LikelihoodCase(
            {"loc": normal() / 2, "log_scale": normal() - 2.5}, grey, event, 256
        ),
        "discretized_logistic_mixture": LikelihoodCase(
            {"mix_logits": normal(10), "loc": normal(10) / 2, "log_scale": normal(10) - 2.5}, grey, event, 256
        ),
        "normal": LikelihoodCase({"loc": normal(), "log_variance": normal()}, {}, event),
        "laplace": LikelihoodCase({"loc": normal()}, {"scale": 0.7}, event),
        "poisson": LikelihoodCase({"log_rate": 2 * normal() + 1}, {}, event, 3000),
        "negative_binomial": LikelihoodCase(
            {"mean": (normal() + 1).exp(), "log_total_count": normal()}, {}, event, 3000
        ),
        "beta_binomial": LikelihoodCase(
            {"alpha": normal().exp(), "beta": normal().exp()}, {"levels": 256}, event, 256
        ),
    }


def colours(levels: int = 6, space: tuple[int, ...] = (3, 1), rows: int = ROWS) -> LikelihoodCase:
    """The mixture over pixels of three channels, the channels first; joint outcomes levels^3."""
    g = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, 5, generator=g, dtype=torch.float64)

    tensors = {
        "mix_logits": normal(*space),
        "loc": normal(3, *space) / 2,
        "log_scale": normal(3, *space) - 1.5,
        "coefficients": normal(3, *space) / 2,
    }
    return LikelihoodCase(tensors, {"levels": levels, "channel_axis": 0}, (3, *space), levels**3)


def posteriors(rows: int = ROWS) -> dict[str, PosteriorCase]:
    """A case for each law, in float64."""
    g = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    z = 6
    a = normal(rows, z, z) / 3
    tril = torch.linalg.cholesky(a @ a.mT + 0.2 * torch.eye(z))
    standard = ("standard_normal", {}, {})
    concentration = torch.tensor([0.5, 10.0, 100.0, 5000.0]).double().repeat(-(-rows // 4))[:rows]
    return {
        "normal": PosteriorCase(
            {"loc": normal(rows, 2, 3), "scale": normal(rows, 2, 3).exp()}, (2, 3), standard
        ),
        "normal_full": PosteriorCase(
            {"loc": normal(rows, z), "scale_tril": tril},
            (z,),
            ("normal", {"loc": normal(z), "log_scale": normal(z)}, {}),
        ),
        "laplace": PosteriorCase({"loc": normal(rows, z), "log_scale": normal(rows, z)}, (z,), standard),
        "one_hot": PosteriorCase(
            {"logits": 2 * normal(rows, 5, 7)}, (5, 7), ("categorical", {"logits": normal(5, 7)}, {})
        ),
        "von_mises_fisher": PosteriorCase(
            {"loc": normal(rows, z), "concentration": concentration}, (z,), ("uniform_sphere", {}, {})
        ),
        "codes": PosteriorCase(
            {"codes": torch.randint(0, 32, (rows, 4, 4), generator=g)},
            (4, 4),
            ("uniform_codes", {}, {"n_codes": 32}),
        ),
    }


class NamedDecoder(nn.Module):
    """z (..., *latent) -> a law by name, whose tensors are moved a little by z."""

    def __init__(self, name: str, case: LikelihoodCase, latent: tuple[int, ...]) -> None:
        super().__init__()
        self.name, self.case, self.n_axes = name, case, len(latent)
        g = torch.Generator().manual_seed(9)
        self.weight = torch.randn(prod(latent), generator=g, dtype=torch.float64)

    def forward(self, z: Tensor) -> Distribution:
        batch = z.shape[: z.dim() - self.n_axes]
        moves = torch.tanh(z.reshape(-1, len(self.weight)).double() @ self.weight)
        tensors = {
            name: tensor[0] * (1 + 0.1 * moves.view(-1, *(1 for _ in tensor.shape[1:])))
            for name, tensor in self.case.tensors.items()
        }
        return likelihood(self.name, tensors, self.case.arguments, self.case.event, tuple(batch))


class NamedEncoder(nn.Module):
    """x (B, *event) -> a law by name: row i of the case for image i."""

    def __init__(self, name: str, case: PosteriorCase) -> None:
        super().__init__()
        self.name, self.case = name, case

    def forward(self, x: Tensor) -> Distribution:
        return self.case.law(self.name, slice(0, len(x)))
