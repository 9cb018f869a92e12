"""A folder of graphs as a `VAE`: what they compute are the parameters of laws that its card names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rdserve.models.card import CardError, OnnxCard, read_card, verify_files
from rdserve.models.distributions.autoregressive import Autoregressive
from rdserve.models.distributions.law_table import LawError
from rdserve.models.distributions.named_laws import likelihood, marginal, posterior
from rdserve.models.distributions.reparameterised import (
    Reparameterised,
    ReparameterisedDraw,
    ReparameterisedMarginal,
)
from rdserve.models.onnx.graph import Graph, GraphError
from rdserve.models.onnx.operators import check_operators
from rdserve.models.vae import VAE, Fixed
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributions import Distribution

# A `Graph`, or what is called as it is: tensors by name to tensors by name.
Called = Callable[..., dict[str, Tensor]]


def load(folder: Path) -> tuple[OnnxCard, VAE]:
    """The model in a folder.

    Raises:
        CardError: the card breaks the contract, or disagrees with what lies beside it.
    """
    card = read_card(folder)
    if not isinstance(card, OnnxCard):
        raise CardError(f"{folder}: weights of a family of ours, not graphs")
    verify_files(card, folder)
    try:
        graphs = {
            name: load_graph(folder / spec.file, spec.outputs) for name, spec in card.graphs.given().items()
        }
        return card, assemble(card, graphs, folder)
    except (GraphError, LawError) as error:
        raise CardError(f"{folder}: {error}") from None


def assemble(card: OnnxCard, graphs: Mapping[str, Called], folder: Path) -> VAE:
    """Encoder, marginal and decoder of graphs, or of what can be called as they are.

    Raises:
        CardError: the marginal's tensors cannot be read.
        LawError: tensors or arguments that do not make the law.
    """
    m = _marginal(card, graphs, folder)
    if "posterior" in graphs:
        encoder: nn.Module = PosteriorGraph(card, graphs["posterior"])
    else:
        encoder = EncoderGraph(card, graphs["encoder"])
    vae = VAE(encoder, Fixed(m), DecoderGraph(card, graphs["decoder"]))
    vae.dtype = torch.float64
    return vae.eval()


def load_graph(path: Path, outputs: Sequence[str]) -> Graph:
    """A graph of allowed operators.

    Raises:
        GraphError: none.
    """
    check_operators(path)
    return Graph(path, outputs)


class EncoderGraph(nn.Module):
    """x (..., *shape) -> e(z|x), batch (...,)."""

    def __init__(self, card: OnnxCard, graph: Called) -> None:
        super().__init__()
        self.card, self.graph = card, graph

    def forward(self, x: Tensor) -> Distribution:
        batch, rows = _rows(x, self.card.input.shape)
        law = self.card.posterior
        return posterior(law.law, self.graph(x=rows), law.arguments, self.card.latent.shape, batch)


class PosteriorGraph(nn.Module):
    """x (..., *shape) -> e(z|x), which turns standard normals into z and tells their density."""

    def __init__(self, card: OnnxCard, graph: Called) -> None:
        super().__init__()
        self.card, self.graph = card, graph

    def forward(self, x: Tensor) -> Reparameterised:
        batch, rows = _rows(x, self.card.input.shape)
        z_shape = self.card.latent.shape
        noise = self.card.posterior.noise or 0

        def transform(eps: Tensor) -> ReparameterisedDraw:
            repeated = rows.expand(len(eps), *rows.shape).flatten(0, 1)
            found = self.graph(x=repeated, eps=eps.reshape(-1, noise))
            lead = eps.shape[:-1]
            log_marginal = found.get("log_marginal")
            return ReparameterisedDraw(
                found["z"].view(*lead, *z_shape),
                found["log_prob"].view(lead),
                None if log_marginal is None else log_marginal.view(lead),
            )

        return Reparameterised(transform, noise, batch, z_shape)


class DecoderGraph(nn.Module):
    """z (..., *latent) -> d(x|z), batch (...,)."""

    def __init__(self, card: OnnxCard, graph: Called) -> None:
        super().__init__()
        self.card, self.graph = card, graph

    def forward(self, z: Tensor) -> Distribution:
        batch, rows = _rows(z, self.card.latent.shape)
        if not self.card.likelihood.autoregressive:
            return self._law(self.graph(z=rows), batch)

        def given(x: Tensor) -> Distribution:
            lead = torch.broadcast_shapes(x.shape[: x.dim() - len(self.card.input.shape)], batch)
            codes = z.expand(*lead, *self.card.latent.shape).reshape(-1, *self.card.latent.shape)
            images = x.expand(*lead, *self.card.input.shape).reshape(-1, *self.card.input.shape)
            return self._law(self.graph(z=codes, x=images), tuple(lead))

        return Autoregressive(given, batch, self.card.input.shape)

    def _law(self, parameters: Mapping[str, Tensor], batch: tuple[int, ...]) -> Distribution:
        law = self.card.likelihood
        return likelihood(law.law, parameters, law.arguments, self.card.input.shape, batch)


def _rows(values: Tensor, event: tuple[int, ...]) -> tuple[tuple[int, ...], Tensor]:
    """The batch shape, and the values with one batch axis."""
    batch = tuple(values.shape[: values.dim() - len(event)])
    return batch, values.reshape(-1, *event)


def _marginal(card: OnnxCard, graphs: Mapping[str, Called], folder: Path) -> Distribution:
    law, z_shape = card.marginal, card.latent.shape
    if law.law != "graph":
        return marginal(law.law, _tensors(card, folder), law.arguments, z_shape)
    density, sample = graphs.get("marginal_log_prob"), graphs.get("marginal_sample")

    def log_density(z: Tensor) -> Tensor:
        batch, rows = _rows(z, z_shape)
        assert density is not None
        return density(z=rows)["log_prob"].view(batch)

    def transform(eps: Tensor) -> Tensor:
        batch, rows = _rows(eps, eps.shape[-1:])
        assert sample is not None
        return sample(eps=rows)["z"].view(*batch, *z_shape)

    return ReparameterisedMarginal(
        z_shape,
        log_density=log_density if density else None,
        transform=transform if sample else None,
        noise_size=law.noise or 0,
    )


def _tensors(card: OnnxCard, folder: Path) -> dict[str, Tensor]:
    file = card.marginal.tensors
    if file is None:
        return {}
    try:
        return {name: tensor.double() for name, tensor in load_file(folder / file.file).items()}
    except SafetensorError as error:
        raise CardError(f"{folder / file.file}: {error}") from None
