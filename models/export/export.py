"""`rdserve.export`: anybody's torch modules as a model that is served and compared."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import torch
from rdserve.models import ops
from rdserve.models.card import CARD_FILE, OnnxCard, write_card
from rdserve.models.card_parts import (
    MAX_EXAMPLES,
    Argument,
    Graphs,
    LatentSpec,
    LikelihoodLaw,
    LikelihoodSpec,
    MarginalLaw,
    MarginalSpec,
    PosteriorLaw,
    PosteriorSpec,
    TrainedObjective,
    Training,
    TrainingData,
)
from rdserve.models.distributions.law_table import LIKELIHOODS, POSTERIORS, LawEntry, LawError
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.examples import write_examples
from rdserve.models.export.functions import (
    NOT_MEASURED,
    Facts,
    ModelFunctions,
    TorchGraph,
    Written,
    input_spec,
    latent_kind,
    write_graphs,
)
from rdserve.models.export.given_data import GivenData, given_data
from rdserve.models.export.own_loss import OwnLoss, compare_losses
from rdserve.models.export.to_graph import OPSET, ExportError, Function
from rdserve.models.onnx.checks import check
from rdserve.models.onnx.vae import assemble, load
from rdserve.models.reference import reference
from rdserve.models.vae import VAE
from torch import Tensor, nn

# Nats by which ONNX Runtime may differ from torch in R or D of an example under the same noise; of every
# thousand, where they are many.
AGREEMENT = 1e-2


@dataclass(frozen=True)
class Exported:
    """What `export` wrote. differences: in nats, ONNX Runtime's from torch's, over the examples."""

    folder: Path
    card: OnnxCard
    rate_difference: float
    distortion_difference: float

    def __str__(self) -> str:
        stands = self.card.reference
        return (
            f"{self.folder}: {self.card.name}, R {stands.rate_nats:.4g} + D {stands.distortion_nats:.4g} "
            "nats over "
            f"{stands.n_examples} examples; graphs within "
            f"{max(self.rate_difference, self.distortion_difference):.2g} "
            "nats of torch"
        )


def export(
    folder: Path | str,
    *,
    encoder: Function,
    decoder: Function,
    x: object,
    likelihood: LikelihoodLaw,
    posterior: PosteriorLaw = "normal",
    marginal: MarginalLaw = "standard_normal",
    encoder_outputs: Sequence[str] | None = None,
    decoder_outputs: Sequence[str] | None = None,
    arguments: Mapping[str, Argument] | None = None,
    marginal_tensors: Mapping[str, Tensor] | None = None,
    marginal_arguments: Mapping[str, Argument] | None = None,
    marginal_log_prob: Function | None = None,
    marginal_sample: Function | None = None,
    noise: int | None = None,
    latent_shape: Sequence[int] | None = None,
    autoregressive: bool = False,
    normalise: Callable[[Tensor], Tensor] | None = None,
    modules: Sequence[nn.Module] = (),
    unit: str = "",
    own_loss: OwnLoss | None = None,
    name: str | None = None,
    version: str = "1.0",
    data: TrainingData | None = None,
    split: str = "test",
    objective: str = "",
    beta: float | None = None,
    training: Training | None = None,
    seed: int = 0,
    n_samples: int = 1,
    overwrite: bool = False,
) -> Exported:
    """Write a folder that `rdserve serve` takes, after trying that it does what the modules do.

    Args:
        folder: new, unless `overwrite`.
        encoder: x (N, *x), float32 -> the posterior's parameters; of law "graph", (x, eps) -> z, log_prob.
        decoder: z (N, *z) -> the likelihood's parameters; where `autoregressive`, (z, x) -> parameters.
        x: (N, *x) examples, of which the card's numbers are measured: best the test split, whole. Of a split
            as `rdserve.load` gives it, the card says all that it says of itself.
        encoder_outputs, decoder_outputs: names of what tuples hold, in order. With functions that return
            dicts, or in the usual order (loc and log_variance; logits), they may be left out.
        arguments: of the likelihood, such as {"levels": 256}.
        normalise: from x to what the networks take, where that differs; becomes part of the graphs.
        modules: those that functions use, where encoder and decoder are functions.
        own_loss: x -> (rate, distortion) in nats, as the author's training computes them; compared with ours.
        data, split: of which data set bare x are. Without: x themselves, by their hash.
        training: what else the card remembers of it.

    Raises:
        ExportError: what was given cannot be exported, or is not what it says; the message names the cure.
        LawError: the laws take other parameters or arguments.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()) and not overwrite:
        raise ExportError(f"{target}: there is something already; another folder, or overwrite=True")
    if target.exists() and any(target.iterdir()) and not (target / CARD_FILE).is_file():
        raise ExportError(f"{target}: what is there is no model, and stays; another folder")
    examples = given_data(x, data, split)
    given = ModelFunctions(
        encoder=encoder,
        decoder=decoder,
        posterior=posterior,
        marginal=marginal,
        likelihood=likelihood,
        encoder_outputs=_outputs(encoder_outputs, POSTERIORS, posterior, {}),
        decoder_outputs=_outputs(decoder_outputs, LIKELIHOODS, likelihood, arguments or {}),
        arguments=dict(arguments or {}),
        modules=modules,
        noise=noise,
        latent_shape=tuple(latent_shape) if latent_shape else None,
        autoregressive=autoregressive,
        normalise=normalise,
        marginal_tensors=dict(marginal_tensors or {}),
        marginal_arguments=dict(marginal_arguments or {}),
        marginal_log_prob=marginal_log_prob,
        marginal_sample=marginal_sample,
    )
    facts = Facts(
        name=name or target.name,
        version=version,
        unit=unit,
        training=dict(training or {}),
        objective=TrainedObjective(name=objective, beta=beta) if beta is not None else None,
        seed=seed,
        n_samples=n_samples,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        draft = Path(scratch) / target.name
        draft.mkdir()
        done = _write(draft, given, examples, facts, own_loss)
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    return replace(done, folder=target)


def _write(
    draft: Path, given: ModelFunctions, source: GivenData, facts: Facts, own_loss: OwnLoss | None
) -> Exported:
    """Graphs, examples, then the card, with what was measured on the way."""
    values = source.values
    x_spec = input_spec(given.likelihood, given.arguments, source, facts.unit)
    at = np.linspace(0, len(values) - 1, min(MAX_EXAMPLES, len(values))).astype(int)
    examples = torch.from_numpy(values[at].astype(np.float32))
    written = write_graphs(given, examples, draft)
    card = OnnxCard(
        name=facts.name,
        version=facts.version,
        input=x_spec,
        latent=LatentSpec(kind=latent_kind(given.posterior), shape=written.latent_shape),
        posterior=PosteriorSpec(law=given.posterior, noise=given.noise),
        marginal=MarginalSpec(
            law=given.marginal,
            arguments=given.marginal_arguments,
            tensors=written.tensors,
            noise=given.noise if given.marginal_sample else None,
        ),
        likelihood=LikelihoodSpec(
            law=given.likelihood,
            arguments=given.arguments,
            measure=LIKELIHOODS[given.likelihood].measure,
            autoregressive=given.autoregressive,
        ),
        graphs=Graphs(**written.graphs),
        examples=write_examples(draft, values[at], at),
        objective=facts.objective,
        data=source.data,
        training=facts.training,
        code_version=installed("rdserve"),
        reference=NOT_MEASURED,
        opset=OPSET,
    )
    write_card(card, draft)
    _, vae = load(draft)
    own = _with_torch(card, written, draft)
    keys = NoiseKeys(torch.full((len(at),), facts.seed), torch.from_numpy(at))
    with torch.inference_mode():
        here, there = (ops.score(each, examples.double(), keys, facts.n_samples) for each in (vae, own))
    apart = [
        float((a - b).abs().max()) for a, b in ((here.rate, there.rate), (here.distortion, there.distortion))
    ]
    most = AGREEMENT * max(1.0, float(there.distortion.abs().max()) / 1e3)
    if not max(apart) <= most:
        raise ExportError(
            f"ONNX Runtime differs from torch by {apart[0]:.3g} nats in R and {apart[1]:.3g} in D of an "
            "example, "
            f"at most {most:.3g} is rounding: an operator computes something else; simplify the module"
        )
    checks = check(card, vae, draft) | {"onnx_rate_nats": apart[0], "onnx_distortion_nats": apart[1]}
    if own_loss is not None:
        checks |= compare_losses(own_loss, examples, here.rate, here.distortion)
    stands = reference(
        vae, torch.from_numpy(values), source.split, seed=facts.seed, n_samples=facts.n_samples
    )
    card = card.model_copy(update={"reference": stands, "checks": checks})
    write_card(card, draft)
    return Exported(draft, card, *apart)


def _with_torch(card: OnnxCard, written: Written, folder: Path) -> VAE:
    """The same model with torch in place of ONNX Runtime."""
    return assemble(card, {name: TorchGraph(each) for name, each in written.modules.items()}, folder)


def _outputs(
    given: Sequence[str] | None, table: Mapping[str, LawEntry], law: str, arguments: Mapping[str, Argument]
) -> tuple[str, ...]:
    if law not in table:
        raise LawError(f"no law {law!r}; there are {', '.join(table)}")
    if given is not None:
        return tuple(given)
    if table[law].from_functions:
        return ("z", "log_prob")
    # Of a scale, networks mostly give the logarithm of the variance.
    usual = {"scale": "log_variance"}
    return tuple(
        usual.get(each.names[0], each.names[0])
        for each in table[law].parameters
        if not each.optional or each.names[0] not in arguments
    )
