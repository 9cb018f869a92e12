"""Likelihoods by name: what a decoder computes -> d(x|z)."""

from collections.abc import Callable
from math import log, log1p

import torch
from rdserve.models.distributions.beta_binomial import BetaBinomial
from rdserve.models.distributions.continuous_bernoulli import ContinuousBernoulli
from rdserve.models.distributions.discretized_logistic import DiscretizedLogistic
from rdserve.models.distributions.discretized_logistic_rgb import DiscretizedLogisticMixtureRGB
from rdserve.models.distributions.entries import (
    binary_logits,
    independent,
    laplace,
    loc_scale,
    logits,
    normal,
)
from rdserve.models.distributions.law_inputs import LawInputs
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    MixtureSameFamily,
    NegativeBinomial,
    Poisson,
)

_COLOURS = 3


def _bernoulli(given: LawInputs) -> Distribution:
    return independent(Bernoulli(logits=binary_logits(given)), given)


def _continuous_bernoulli(given: LawInputs) -> Distribution:
    found = binary_logits(given)
    if "clamp" in given.arguments:
        least = given.number("clamp", above=0, below=0.5)
        bound = log(least) - log1p(-least)
        found = found.clamp(bound, -bound)
    return independent(ContinuousBernoulli(found), given)


def _categorical(given: LawInputs) -> Distribution:
    law = Categorical(logits=logits(given, trailing=1))
    if "levels" in given.arguments and given.whole("levels", least=2) != law.logits.shape[-1]:
        raise given.wrong(f"has {law.logits.shape[-1]} outcomes where levels is {given.arguments['levels']}")
    return independent(law, given)


def _in_levels(given: LawInputs, trailing: int = 0) -> DiscretizedLogistic:
    """From the network's units to levels."""
    levels = given.whole("levels", least=2)
    low, high = given.interval("network_range", (0.0, levels - 1.0))
    loc, scale = loc_scale(given, trailing)
    step = (high - low) / (levels - 1)
    return DiscretizedLogistic((loc - low) / step, scale / step, levels)


def _discretized_logistic(given: LawInputs) -> Distribution:
    return independent(_in_levels(given), given)


def _discretized_logistic_mixture(given: LawInputs) -> Distribution:
    weights = Categorical(logits=given.tensor("mix_logits", trailing=1))
    return independent(MixtureSameFamily(weights, _in_levels(given, trailing=1)), given)


def _discretized_logistic_mixture_rgb(given: LawInputs) -> Distribution:
    axis = _channel_axis(given)
    space = given.event_shape[:axis] + given.event_shape[axis + 1 :]
    loc, scale = loc_scale(given, 1)
    channel_last = (axis - len(given.event_shape) - 1, -2)
    return DiscretizedLogisticMixtureRGB(
        given.tensor("mix_logits", 1, space),
        loc.movedim(*channel_last),
        scale.movedim(*channel_last),
        given.tensor("coefficients", 1).movedim(*channel_last),
        given.whole("levels", least=2),
        n_space_axes=len(space),
        channel_axis=axis,
        network_range=given.interval("network_range", (-1.0, 1.0)),
    )


def _channel_axis(given: LawInputs) -> int:
    """The one that the argument says, or else the only one of three entries."""
    shape = given.event_shape
    if "channel_axis" in given.arguments:
        axis = given.arguments["channel_axis"]
        if isinstance(axis, int) and -len(shape) <= axis < len(shape) and shape[axis] == _COLOURS:
            return axis % len(shape)
        raise given.wrong(f"needs a channel_axis with 3 entries; got {axis!r} of x of shape {shape}")
    axes = [axis for axis, size in enumerate(shape) if size == _COLOURS]
    if len(axes) != 1:
        raise given.wrong(f"needs the argument channel_axis: x of shape {shape} has {len(axes)} axes of 3")
    return axes[0]


def _poisson(given: LawInputs) -> Distribution:
    return independent(Poisson(given.tensor("rate")), given)


def _negative_binomial(given: LawInputs) -> Distribution:
    total_count = given.tensor("total_count")
    # A mean that has underflowed says that a count is 0, and of others that they are next to impossible.
    mean = given.tensor("mean").clamp_min(torch.finfo(total_count.dtype).tiny)
    return independent(NegativeBinomial(total_count, logits=torch.log(mean) - torch.log(total_count)), given)


def _beta_binomial(given: LawInputs) -> Distribution:
    total_count = given.whole("levels", least=2) - 1
    return independent(BetaBinomial(total_count, given.tensor("alpha"), given.tensor("beta")), given)


BUILDERS: dict[str, Callable[[LawInputs], Distribution]] = {
    "bernoulli": _bernoulli,
    "continuous_bernoulli": _continuous_bernoulli,
    "categorical": _categorical,
    "discretized_logistic": _discretized_logistic,
    "discretized_logistic_mixture": _discretized_logistic_mixture,
    "discretized_logistic_mixture_rgb": _discretized_logistic_mixture_rgb,
    "normal": normal,
    "laplace": laplace,
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "beta_binomial": _beta_binomial,
}
