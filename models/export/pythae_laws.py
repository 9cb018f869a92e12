"""A model of pythae's as functions and laws: what each of its classes means in the contract. No pythae here.

https://pythae.readthedocs.io; the classes' losses are those of pythae 0.1.2.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from rdserve.models.card_parts import LikelihoodLaw
from rdserve.models.export.own_loss import OwnLoss
from rdserve.models.export.to_graph import ExportError
from torch import Tensor, nn
from torch.nn import functional as F

_CERTAIN = "its z is certain, and a certain real z costs an infinite rate: it is no latent-variable model"
_GRADIENT = "it takes gradients inside forward, which no graph can hold"
REFUSED: Mapping[str, str] = {
    "AE": _CERTAIN,
    "RAE_GP": _CERTAIN,
    "RAE_L2": _CERTAIN,
    "WAE_MMD": _CERTAIN,
    "HVAE": _GRADIENT,
    "RHVAE": _GRADIENT,
    "PoincareVAE": "its z lies on a Poincare ball, whose laws are none of the contract's; called normal, it "
    "would be given a wrong rate and distortion without any error",
}
# Their loss says no law of x: it is an adversary's, or a likeness of images.
_NO_LAW = ("MSSSIM_VAE", "VAEGAN")
# z ~ N(mu, diag(exp(log_var))) and a standard normal marginal.
_NORMAL = (
    "Adversarial_AE",
    "BetaTCVAE",
    "BetaVAE",
    "CIWAE",
    "DisentangledBetaVAE",
    "FactorVAE",
    "INFOVAE_MMD",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "VAE",
    *_NO_LAW,
)
# Their forward returns D and R themselves; that of others returns bounds, penalties or scores of a critic.
_OWN_TERMS = ("BetaVAE", "DisentangledBetaVAE", "INFOVAE_MMD", "SVAE", "VAE", "VAE_IAF", "VAE_LinNF", "VAMP")
# These minimise D + beta R.
_BETA_VAES = ("BetaVAE", "SVAE", "VAE", "VAE_IAF", "VAE_LinNF", "VAMP")

Given = dict[str, Any]
# A torch module whose class is not here to say what it has.
PythaeModel = Any


def check_class(name: str) -> None:
    """Raises ExportError: a model of this class has no graphs, or nobody looked at what it means."""
    if name in REFUSED:
        raise ExportError(f"pythae's {name} is not served: {REFUSED[name]}")
    if name not in _POSTERIORS:
        raise ExportError(f"pythae's {name!r} is not known; there are {', '.join(sorted(_POSTERIORS))}")


def arguments_of(model: PythaeModel, shape: tuple[int, ...], likelihood: LikelihoodLaw | None) -> Given:
    """What `export` takes, of a model of pythae's in eval mode.

    shape: of one x of the data, which may have no axis of channels.
    likelihood: another law than the one that the loss is of.

    Raises:
        ExportError: its class is not served, its loss says no law, or its images have another shape.
    """
    kind = type(model).__name__
    check_class(kind)
    into = _reshaped(model, shape)
    found = _POSTERIORS[kind](model, into)
    found |= _law_of_x(model, shape, likelihood, found.pop("embed", _itself))
    if kind in _OWN_TERMS and likelihood is None:
        found["own_loss"] = _own_loss(model, into, _constant(model, math.prod(shape)))
    if kind in _BETA_VAES:
        found |= {"objective": "beta-vae", "beta": float(getattr(model.model_config, "beta", 1.0))}
    return found


def _reshaped(model: PythaeModel, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """From x as the data have it to (N, channels, ...)."""
    wanted = tuple(model.model_config.input_dim)
    sides, theirs = ([n for n in each if n > 1] for each in (shape, wanted))
    if sides != theirs and not (math.prod(shape) == math.prod(wanted) and 1 in (len(sides), len(theirs))):
        raise ExportError(f"the model takes x of shape {wanted}, the data have {shape}")
    return lambda x: x.reshape(x.shape[0], *wanted)


def _itself(z: Tensor) -> Tensor:
    return z


def _law_of_x(
    model: PythaeModel,
    shape: tuple[int, ...],
    likelihood: LikelihoodLaw | None,
    embed: Callable[[Tensor], Tensor],
) -> Given:
    """embed: from z to what the decoder takes."""
    kind = type(model).__name__
    if likelihood is None and kind in _NO_LAW:
        raise ExportError(f"the loss of pythae's {kind} says no law of x: name one, likelihood=...")
    decoder, output = model.decoder, "probs"
    loss = getattr(model.model_config, "reconstruction_loss", "mse")
    law = likelihood or ("bernoulli" if loss == "bce" else "normal")
    # 0.5 (x - y)^2 is of scale 1; of a VQVAE, it is (x - y)^2.
    scale = math.sqrt(0.5) if kind == "VQVAE" else 1.0
    if law == "normal":
        output = "loc"
    elif (before := _before_sigmoid(model)) is not None:
        decoder, output = before, "logits"
    return {
        "likelihood": law,
        "decoder": lambda z: decoder(embed(z))["reconstruction"].reshape(z.shape[0], *shape),
        "decoder_outputs": (output,),
        "arguments": {"scale": scale} if law == "normal" else {},
        "modules": [model, decoder],
    }


def _before_sigmoid(model: PythaeModel) -> PythaeModel | None:
    """The decoder without the sigmoid that it ends in; None where it ends in none.

    Probabilities near 1 have lost in float32 the digits that log(1 - p) is made of.
    """
    decoder = copy.deepcopy(model.decoder)
    found = [name for name, module in decoder.named_modules() if isinstance(module, nn.Sigmoid)]
    if not found:
        return None
    parent, _, name = found[-1].rpartition(".")
    setattr(decoder.get_submodule(parent), name, nn.Identity())
    z = torch.linspace(-2, 2, 4 * model.model_config.latent_dim).reshape(4, -1)
    with torch.no_grad():
        try:
            here, there = (each(z)["reconstruction"] for each in (decoder, model.decoder))
        except RuntimeError:  # z of another shape
            return None
    return decoder if torch.allclose(here.sigmoid(), there, atol=1e-6) else None


def _constant(model: PythaeModel, size: int) -> float:
    """Nats of D that a squared error leaves out."""
    return 0.5 * size * math.log(2 * math.pi) if model.model_config.reconstruction_loss == "mse" else 0.0


def _own_loss(model: PythaeModel, into: Callable[[Tensor], Tensor], constant: float) -> OwnLoss:
    def own(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = model({"data": into(x)})
        return found["reg_loss"], found["recon_loss"] + constant

    return own


def _normal(model: PythaeModel, into: Callable[[Tensor], Tensor]) -> Given:
    def encoder(x: Tensor) -> tuple[Tensor, Tensor]:
        found = model.encoder(into(x))
        return found["embedding"], found["log_covariance"]

    return {"encoder": encoder, "encoder_outputs": ("loc", "log_variance")}


def _vamp(model: PythaeModel, into: Callable[[Tensor], Tensor]) -> Given:
    """The marginal is the mean of the posteriors of pseudo-inputs."""
    with torch.no_grad():
        pseudo = model.pseudo_inputs(model.idle_input)
        found = model.encoder(pseudo.reshape(len(pseudo), *model.model_config.input_dim))
    tensors = {
        "logits": torch.zeros(len(pseudo)),
        "loc": found["embedding"],
        "scale": (0.5 * found["log_covariance"]).exp(),
    }
    return _normal(model, into) | {"marginal": "normal_mixture", "marginal_tensors": tensors}


def _flow(model: PythaeModel, into: Callable[[Tensor], Tensor]) -> Given:
    """z = f(mu + sigma eps): its density is the normal's over |det df/dz|."""

    def posterior(x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        found = model.encoder(into(x))
        log_variance = found["log_covariance"]
        z = found["embedding"] + (0.5 * log_variance).exp() * eps
        log_prob = -0.5 * (eps.square() + log_variance + math.log(2 * math.pi)).sum(-1)
        steps = model.net if type(model).__name__ == "VAE_LinNF" else [model.iaf_flow.inverse]
        for step in steps:
            done = step(z)
            z, log_prob = done["out"], log_prob - done["log_abs_det_jac"]
        return z, log_prob

    return {
        "encoder": posterior,
        "encoder_outputs": ("z", "log_prob"),
        "posterior": "graph",
        "noise": int(model.model_config.latent_dim),
    }


def _sphere(model: PythaeModel, into: Callable[[Tensor], Tensor]) -> Given:
    def encoder(x: Tensor) -> tuple[Tensor, Tensor]:
        found = model.encoder(into(x))
        loc = found["embedding"]
        return loc / loc.norm(dim=-1, keepdim=True), F.softplus(found["log_concentration"]) + 1

    return {
        "encoder": encoder,
        "encoder_outputs": ("loc", "concentration"),
        "posterior": "von_mises_fisher",
        "marginal": "uniform_sphere",
    }


def _codes(model: PythaeModel, into: Callable[[Tensor], Tensor]) -> Given:
    """Of each place of the embedding, which vector of the book is closest; all are equally likely before."""
    book = model.quantizer.embeddings
    vectors: Tensor = getattr(book, "weight", book)  # a module, or of a moving average a tensor

    def encoder(x: Tensor) -> Tensor:
        found = model.encoder(into(x))["embedding"]
        # pythae has numbers of a flat embedding for places, each with a vector of one number.
        found = found[..., None] if found.ndim == 2 else found.movedim(1, -1)
        distance = vectors.square().sum(-1) - 2 * found @ vectors.T
        return distance.argmin(-1)

    def embed(z: Tensor) -> Tensor:
        found = vectors[z]
        return found.flatten(1) if found.ndim == 3 else found.movedim(-1, 1)

    return {
        "encoder": encoder,
        "encoder_outputs": ("codes",),
        "posterior": "codes",
        "marginal": "uniform_codes",
        "marginal_arguments": {"n_codes": len(vectors)},
        "embed": embed,
    }


_POSTERIORS: Mapping[str, Callable[[PythaeModel, Callable[[Tensor], Tensor]], Given]] = {
    **dict.fromkeys(_NORMAL, _normal),
    "SVAE": _sphere,
    "VAE_IAF": _flow,
    "VAE_LinNF": _flow,
    "VAMP": _vamp,
    "VQVAE": _codes,
}
