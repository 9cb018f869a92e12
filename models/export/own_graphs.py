"""Graphs that something else than torch wrote, such as JAX or `onnx.helper`, as a model that is served."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import torch
from rdserve.models.card import OnnxCard, sha256_of, write_card
from rdserve.models.card_parts import (
    MAX_EXAMPLES,
    Argument,
    Graphs,
    GraphSpec,
    LatentSpec,
    LikelihoodLaw,
    LikelihoodSpec,
    MarginalLaw,
    MarginalSpec,
    PosteriorLaw,
    PosteriorSpec,
)
from rdserve.models.distributions.law_table import LIKELIHOODS
from rdserve.models.examples import write_examples
from rdserve.models.export.functions import NOT_MEASURED, input_spec, latent_kind, write_marginal
from rdserve.models.export.given_data import given_data
from rdserve.models.input_values import Array
from rdserve.models.onnx.checks import check
from rdserve.models.onnx.operators import check_operators
from rdserve.models.onnx.vae import load
from rdserve.models.reference import reference


def describe(
    folder: Path | str,
    *,
    graphs: Mapping[str, Sequence[str]],
    x: object,
    latent_shape: Sequence[int],
    likelihood: LikelihoodLaw,
    posterior: PosteriorLaw = "normal",
    marginal: MarginalLaw = "standard_normal",
    arguments: Mapping[str, Argument] | None = None,
    marginal_arguments: Mapping[str, Argument] | None = None,
    marginal_tensors: Mapping[str, Array] | None = None,
    noise: int | None = None,
    autoregressive: bool = False,
    unit: str = "",
    name: str | None = None,
    seed: int = 0,
    n_samples: int = 1,
) -> OnnxCard:
    """Write the card of a folder that holds its graphs, after the checks that packaging makes.

    Args:
        graphs: of each graph NAME.onnx in the folder, what its outputs are to the law, in order:
            {"encoder": ("loc", "log_variance"), "decoder": ("logits",)}.
        x: (N, *x), or a split as `rdserve.load` gives it; the card's numbers are of it.
        noise: entries of eps, of posterior and marginal graphs.
        Other arguments as of `rdserve.export`.

    Raises:
        ExportError: x are not what the likelihood takes.
        CardError, GraphError: a graph does not keep the contract; the message names the file and the cure.
        LawError: the laws take other parameters or arguments.
        OSError: a file is not there.
    """
    home, source = Path(folder), given_data(x, None, "test")
    at = np.linspace(0, len(source.values) - 1, min(MAX_EXAMPLES, len(source.values))).astype(int)
    specs = {each: GraphSpec(**_file(home / f"{each}.onnx"), outputs=tuple(graphs[each])) for each in graphs}
    opset = max(check_operators(home / spec.file) for spec in specs.values())
    card = OnnxCard(
        name=name or home.name,
        input=input_spec(likelihood, arguments or {}, source, unit),
        latent=LatentSpec(kind=latent_kind(posterior), shape=tuple(latent_shape)),
        posterior=PosteriorSpec(law=posterior, noise=noise if posterior == "graph" else None),
        marginal=MarginalSpec(
            law=marginal,
            arguments=dict(marginal_arguments or {}),
            tensors=write_marginal(marginal_tensors or {}, home),
            noise=noise if "marginal_sample" in graphs else None,
        ),
        likelihood=LikelihoodSpec(
            law=likelihood,
            arguments=dict(arguments or {}),
            measure=LIKELIHOODS[likelihood].measure,
            autoregressive=autoregressive,
        ),
        graphs=Graphs(**specs),
        examples=write_examples(home, source.values[at], at),
        data=source.data,
        code_version=installed("rdserve"),
        reference=NOT_MEASURED,
        opset=opset,
    )
    write_card(card, home)
    _, vae = load(home)
    measured = reference(vae, torch.from_numpy(source.values), source.split, seed=seed, n_samples=n_samples)
    card = card.model_copy(update={"checks": check(card, vae, home), "reference": measured})
    write_card(card, home)
    return card


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": sha256_of(path)}
