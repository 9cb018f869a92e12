"""What packaging finds out about a model that others made, on the examples beside its card.

Each check measures in nats or in units of a parameter, and refuses with the file and the cure. What a named
law cannot show, nobody checks: that it is the law the model was trained with. `own_loss` of the export does.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rdserve.models import ops
from rdserve.models.card import CardError, OnnxCard
from rdserve.models.distributions.discretized_logistic_rgb import DiscretizedLogisticMixtureRGB
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.distributions.reparameterised import Reparameterised
from rdserve.models.examples import read_examples
from rdserve.models.onnx.vae import PosteriorGraph
from rdserve.models.vae import VAE
from torch import Tensor
from torch.distributions import Distribution, Independent

# Nats that R or D of a row may move with the rows beside it; or of every nat, where they are many.
MAX_BATCH_EFFECT = 1e-4
MAX_RELATIVE_BATCH_EFFECT = 1e-6
# Of a parameter, by an entry that it must not see. Sums in another order reach 1e-6.
MAX_NON_CAUSAL = 1e-4
# Nats between a reported log density and that of the map itself, by central differences.
MAX_LOG_DENSITY_ERROR = 0.01
# Nats per entry of x above an independent fit of the examples: of untrained models, up to about 1.
MAX_ABOVE_FIT = 10.0
# A real z known to more digits than this has, for all that float32 can tell, an infinite rate.
LEAST_SCALE = 1e-6

_STEP = 1e-2
_CAUSAL_ENTRIES = 8
_JACOBIAN_ROWS = 4


class CheckError(CardError):
    """A model that does not keep the contract."""


@torch.inference_mode()
def check(card: OnnxCard, vae: VAE, folder: Path) -> dict[str, float]:
    """What was measured, by name; the card keeps it.

    Raises:
        CheckError: the model does not keep the contract.
        CardError: the examples cannot be read.
    """
    values, ids = read_examples(card, folder)
    x = torch.from_numpy(values.astype(np.float64))
    keys = NoiseKeys(torch.zeros(len(x), dtype=torch.int64), torch.from_numpy(ids))
    return dict(_measured(card, vae, x, keys))


def _measured(card: OnnxCard, vae: VAE, x: Tensor, keys: NoiseKeys) -> Iterator[tuple[str, float]]:
    e = vae.encoder(x)
    _check_spread(card, e)
    scores = ops.score(vae, x, keys, 1)
    yield "batch_nats", batch_effect(vae, x, keys, scores)
    if isinstance(vae.encoder, PosteriorGraph):
        yield "log_density_nats", log_density_error(card, vae, x)
    if card.likelihood.autoregressive:
        yield "non_causal", non_causal(card, vae, x, keys)
    yield "above_fit_nats", above_fit(card, x, scores.distortion)


def batch_effect(vae: VAE, x: Tensor, keys: NoiseKeys, together: ops.Scores) -> float:
    """The most that R or D of a row moves, in nats, when it is scored alone.

    Raises:
        CheckError: more than rounding does.
    """
    worst = 0.0
    for row in range(len(x)):
        at = slice(row, row + 1)
        alone = ops.score(vae, x[at], NoiseKeys(keys.seed[at], keys.example[at]), 1)
        for here, there in ((alone.rate, together.rate), (alone.distortion, together.distortion)):
            worst = max(worst, float((here - there[at]).abs().max()))
    most = max(MAX_BATCH_EFFECT, MAX_RELATIVE_BATCH_EFFECT * float(together.distortion.abs().max()))
    if not worst <= most:
        raise CheckError(
            f"R or D of a row moves by {worst:.3g} nats with the rows beside it, {most:.3g} is rounding: "
            "batch statistics (call eval() before exporting), or a function of the whole batch"
        )
    return worst


def log_density_error(card: OnnxCard, vae: VAE, x: Tensor) -> float:
    """The most, in nats, by which posterior.onnx misreports log e(z|x): beside log N(eps) - log|det dz/deps|.

    Raises:
        CheckError: it does misreport it, or takes more or less noise than z has entries.
    """
    n = card.posterior.noise or 0
    if n != card.latent.size:
        raise CheckError(
            f"posterior.onnx takes {n} numbers of noise for a z of {card.latent.size}: no density of z "
            "follows "
            "from its map; give one number of noise per entry of z"
        )
    rows = x[:_JACOBIAN_ROWS]
    eps = torch.randn(len(rows), n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reported = vae.encoder(rows).transform(eps[None]).log_prob[0]
    base = -0.5 * (eps.square() + math.log(2 * math.pi)).sum(-1)
    steps = torch.cat([torch.eye(n), -torch.eye(n)]).double() * _STEP
    worst = 0.0
    for row in range(len(rows)):
        z = vae.encoder(rows[row : row + 1]).transform((eps[row] + steps)[:, None]).z.reshape(2 * n, -1)
        jacobian = (z[:n] - z[n:]) / (2 * _STEP)
        worst = max(worst, float((reported[row] - base[row] + torch.linalg.slogdet(jacobian)[1]).abs()))
    if not worst <= MAX_LOG_DENSITY_ERROR:
        raise CheckError(
            f"posterior.onnx reports a log_prob that is {worst:.3g} nats off the density of its own map from "
            "noise "
            f"to z, at most {MAX_LOG_DENSITY_ERROR:g} is rounding: the log-determinant of a step is missing "
            "or wrong"
        )
    return worst


def non_causal(card: OnnxCard, vae: VAE, x: Tensor, keys: NoiseKeys) -> float:
    """The most that the law of an entry moves, in nats, with the entry itself or a later one.

    Raises:
        CheckError: it does.
    """
    law = vae.decoder(ops.encode(vae, x, keys, 1).latents[:, 0])
    before = law.given(x)
    n = _positions(before).numel()
    worst = 0.0
    for first in np.linspace(0, n - 1, min(n, _CAUSAL_ENTRIES)).astype(int):
        after = law.given(_changed_from(int(first), card, before, x))
        for parameter, other in zip(_parameters(before), _parameters(after), strict=True):
            moved = (parameter - other).abs().reshape(len(x), n, -1)[:, : first + 1]
            worst = max(worst, float(moved.max()))
    if not worst <= MAX_NON_CAUSAL:
        raise CheckError(
            f"decoder.onnx sees the entry that it describes, or later ones: a parameter moves by {worst:.3g} "
            "when "
            "they change. Shift its input by one entry, or mask its first layer, and export again"
        )
    return worst


def _positions(law: Distribution) -> torch.Size:
    """The shape of what is drawn one after another: entries, or pixels of three coupled colours."""
    return law.space if isinstance(law, DiscretizedLogisticMixtureRGB) else law.event_shape


def _changed_from(first: int, card: OnnxCard, law: Distribution, x: Tensor) -> Tensor:
    """x with another value in every entry from position `first` on, in raster order."""
    levels = {"binary": 2, "one_hot": 2, "levels": card.input.levels or 0}.get(card.input.kind)
    other = x + 1 if levels is None else (x + 1) % levels
    positions = _positions(law)
    later = (torch.arange(positions.numel()) >= first).view(positions)
    if isinstance(law, DiscretizedLogisticMixtureRGB):
        later = later.unsqueeze(law.axis)
    return torch.where(later, other, x)


def _parameters(law: Distribution) -> list[Tensor]:
    """Every tensor that a law of independent positions is made of."""
    base = law.base_dist if isinstance(law, Independent) else law
    return [each for _, each in sorted(vars(base).items()) if isinstance(each, Tensor)]


def above_fit(card: OnnxCard, x: Tensor, found: Tensor) -> float:
    """Mean distortion less that of an independent law fitted to each entry of the examples, in nats.

    Raises:
        CheckError: far above it.
    """
    above = float(found.mean()) - independent_fit(card, x)
    if not above <= MAX_ABOVE_FIT * card.input.size:
        raise CheckError(
            f"its distortion of the examples is {float(found.mean()):.4g} nats, {above:.3g} above what an "
            "independent "
            f"law of each of the {card.input.size} entries needs: x or the law's parameters are in another "
            "unit or "
            f"range than the networks learned (x is {card.input.kind}, from {float(x.min()):g} to "
            f"{float(x.max()):g})"
        )
    return above


def independent_fit(card: OnnxCard, x: Tensor) -> float:
    """Mean of -log of such a law, nats: Gaussians for volumes, smoothed frequencies for points."""
    flat = x.reshape(len(x), -1)
    if card.likelihood.measure == "lebesgue":
        deviation = flat.std(0).clamp_min(1e-3 * (flat.std() + 1e-12))
        return float((0.5 * math.log(2 * math.pi * math.e) + deviation.log()).sum())
    kinds = card.input.levels or int(flat.max()) + 1
    columns = (torch.bincount(column.long(), minlength=kinds) for column in flat.T)
    counts = torch.stack(list(columns)).double()
    p = (counts + 1 / kinds) / (len(x) + 1)
    return float(-(counts * p.log()).sum() / len(x))


def _check_spread(card: OnnxCard, e: Distribution) -> None:
    if card.latent.kind != "real" or isinstance(e, Reparameterised):
        return
    least = float(e.stddev.min())
    if least < LEAST_SCALE:
        raise CheckError(
            f"the posterior's standard deviation goes down to {least:.3g}: a real z that is certain costs an "
            'infinite rate. An autoencoder without noise has no rate; quantise its codes (law "codes")'
        )
