"""What is exported, as it was given, and the graphs that it becomes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rdserve.models.card import sha256_of
from rdserve.models.card_parts import (
    Argument,
    FileSpec,
    GraphSpec,
    InputKind,
    InputSpec,
    LatentKind,
    LikelihoodLaw,
    MarginalLaw,
    PosteriorLaw,
    ReferenceScores,
    TrainedObjective,
    Training,
)
from rdserve.models.distributions.law_table import LIKELIHOODS, POSTERIORS
from rdserve.models.export.given_data import GivenData
from rdserve.models.export.to_graph import ExportError, Function, NamedOutputs, write_graph
from rdserve.models.input_values import Array, said, wrong
from safetensors.numpy import save_file
from torch import Tensor, nn

MARGINAL_FILE = "marginal.safetensors"
NOT_MEASURED = ReferenceScores(
    split="test",
    n_examples=1,
    seed=0,
    n_samples=1,
    rate_nats=0.0,
    rate_standard_error_nats=0.0,
    distortion_nats=0.0,
    distortion_standard_error_nats=0.0,
)


@dataclass(frozen=True)
class ModelFunctions:
    """Functions of tensors, and the laws whose parameters they compute; see `export`."""

    encoder: Function
    decoder: Function
    posterior: PosteriorLaw
    marginal: MarginalLaw
    likelihood: LikelihoodLaw
    encoder_outputs: tuple[str, ...]
    decoder_outputs: tuple[str, ...]
    arguments: dict[str, Argument]
    modules: Sequence[nn.Module]
    noise: int | None
    latent_shape: tuple[int, ...] | None
    autoregressive: bool
    normalise: Callable[[Tensor], Tensor] | None
    marginal_tensors: dict[str, Tensor]
    marginal_arguments: dict[str, Argument]
    marginal_log_prob: Function | None
    marginal_sample: Function | None


@dataclass(frozen=True)
class Facts:
    """What the card states beside what is computed."""

    name: str
    version: str
    unit: str
    training: Training
    objective: TrainedObjective | None
    seed: int
    n_samples: int


@dataclass(frozen=True)
class Written:
    """Graphs by name, with the modules that they are of, and the marginal's tensors."""

    graphs: dict[str, GraphSpec]
    modules: dict[str, NamedOutputs]
    tensors: FileSpec | None
    latent_shape: tuple[int, ...]


class TorchGraph:
    """A module as a `Graph` is called."""

    def __init__(self, module: NamedOutputs) -> None:
        self._module = module

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        fed = (inputs[name] for name in self._module.inputs)
        found = self._module(*(each.float() if each.is_floating_point() else each for each in fed))
        return {
            name: each.double() if each.is_floating_point() else each
            for name, each in zip(self._module.names, found, strict=True)
        }


def input_spec(
    law: LikelihoodLaw, arguments: Mapping[str, Argument], source: GivenData, unit: str
) -> InputSpec:
    """What x is, by its likelihood and the values at hand.

    Raises:
        ExportError: values that the likelihood does not take.
    """
    values = source.values
    kind = cast(InputKind, LIKELIHOODS[law].kinds[0])
    levels = arguments.get("levels")
    if kind == "levels" and not isinstance(levels, int):
        raise ExportError(f'{law}: say how many levels x has, arguments={{"levels": ...}}')
    if kind == "real" and not unit:
        raise ExportError(f"{law} is a density, per unit of x: say what 1 of x is, such as unit='grey/255'")
    spec = InputSpec(
        kind=kind,
        shape=values.shape[1:],
        binarisation=source.binarisation,
        preprocessing=source.preprocessing,
        levels=levels if kind == "levels" and isinstance(levels, int) else None,
        unit=unit if kind == "real" else "",
    )
    bad = wrong(spec)(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ExportError(f"{law} takes {said(spec)}, x has {values[where]} at {where}")
    return spec


def latent_kind(law: PosteriorLaw) -> LatentKind:
    """What z is, by its posterior."""
    return cast(LatentKind, POSTERIORS[law].kinds[0])


def write_graphs(given: ModelFunctions, x: Tensor, folder: Path) -> Written:
    """Write every graph, on examples x (N, *x).

    Raises:
        ExportError: as `write_graph`.
    """
    normalise = given.normalise or (lambda values: values)
    graphs: dict[str, GraphSpec] = {}
    modules: dict[str, NamedOutputs] = {}

    def write(name: str, function: Function, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> None:
        used = [*given.modules, *([function] if isinstance(function, nn.Module) else [])]
        modules[name] = NamedOutputs(function, tuple(inputs), outputs, used)
        graphs[name] = write_graph(modules[name], inputs, folder / f"{name}.onnx")

    z, latent_shape = _codes(given, x, normalise)
    if given.posterior == "graph":
        eps = torch.randn(len(x), given.noise or 0, generator=torch.Generator().manual_seed(0))
        write(
            "posterior",
            lambda x, eps: given.encoder(normalise(x), eps),
            given.encoder_outputs,
            {"x": x, "eps": eps},
        )
    else:
        write("encoder", lambda x: given.encoder(normalise(x)), given.encoder_outputs, {"x": x})
    if given.autoregressive:
        write("decoder", lambda z, x: given.decoder(z, normalise(x)), given.decoder_outputs, {"z": z, "x": x})
    else:
        write("decoder", given.decoder, given.decoder_outputs, {"z": z})
    if given.marginal_log_prob:
        write("marginal_log_prob", given.marginal_log_prob, ("log_prob",), {"z": z})
    if given.marginal_sample:
        eps = torch.randn(len(x), given.noise or 0, generator=torch.Generator().manual_seed(1))
        write("marginal_sample", given.marginal_sample, ("z",), {"eps": eps})
    return Written(graphs, modules, write_marginal(given.marginal_tensors, folder), latent_shape)


def _codes(
    given: ModelFunctions, x: Tensor, normalise: Callable[[Tensor], Tensor]
) -> tuple[Tensor, tuple[int, ...]]:
    """Some z that the decoder takes, and the shape of one."""
    for module in given.modules:
        module.eval()
    if isinstance(given.encoder, nn.Module):
        given.encoder.eval()
    with torch.no_grad():
        if given.posterior == "graph":
            if not given.noise:
                raise ExportError('posterior "graph": say how many standard normals make one z, noise=...')
            found = given.encoder(normalise(x), torch.randn(len(x), given.noise))
        else:
            found = given.encoder(normalise(x))
    if isinstance(found, Mapping):
        first = found[given.encoder_outputs[0]]
    else:
        first = found if isinstance(found, Tensor) else found[0]
    if given.latent_shape and math.prod(given.latent_shape) != first[0].numel():
        raise ExportError(f"latent_shape is {given.latent_shape}, the encoder gives {tuple(first.shape[1:])}")
    shape = given.latent_shape or tuple(first.shape[1:])
    if given.posterior == "one_hot":
        first = torch.nn.functional.one_hot(first.argmax(-1), first.shape[-1]).to(first.dtype)
    return first.reshape(len(x), *shape), shape


def write_marginal(tensors: Mapping[str, Tensor | Array], folder: Path) -> FileSpec | None:
    """The marginal's tensors as a file, and what the card says of it; None where there are none."""
    if not tensors:
        return None
    path = folder / MARGINAL_FILE
    save_file({name: _float32(each) for name, each in tensors.items()}, path)
    path.chmod(0o644)
    return FileSpec(file=path.name, sha256=sha256_of(path))


def _float32(values: Tensor | Array) -> Array:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return np.ascontiguousarray(array, dtype=np.float32)
