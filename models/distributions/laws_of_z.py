"""Posteriors and marginals by name: what an encoder computes, or a file holds -> e(z|x), m(z)."""

from collections.abc import Callable

import torch
from rdserve.models.distributions.entries import independent, laplace, logits, normal
from rdserve.models.distributions.law_inputs import LawInputs
from rdserve.models.distributions.point_mass import PointMass, UniformCodes
from rdserve.models.distributions.von_mises_fisher import UniformSphere, VonMisesFisher
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)


def _normal_full(given: LawInputs) -> Distribution:
    size = given.flat_event()
    return MultivariateNormal(given.tensor("loc"), scale_tril=given.tensor("scale_tril", 0, (size, size)))


def _one_hot(given: LawInputs) -> Distribution:
    law = OneHotCategorical(logits=logits(given))
    return Independent(law, len(given.event_shape) - 1)


def _von_mises_fisher(given: LawInputs) -> Distribution:
    given.flat_event()
    return VonMisesFisher(given.tensor("loc"), given.tensor("concentration", 0, ()))


def _codes(given: LawInputs) -> Distribution:
    codes = given.tensor("codes")
    if codes.is_floating_point():
        raise given.wrong(f"needs codes of whole numbers; got {codes.dtype}")
    return PointMass(codes.long(), len(given.event_shape))


def _standard_normal(given: LawInputs) -> Distribution:
    return independent(Normal(torch.zeros(given.event_shape), torch.ones(given.event_shape)), given)


def _normal_mixture(given: LawInputs) -> Distribution:
    """The batch is the mixture's members."""
    weights = Categorical(logits=logits(given, event=()))
    return MixtureSameFamily(weights, normal(given))


def _categorical(given: LawInputs) -> Distribution:
    """Of one-hot rows, whose logits have the shape of z, or of codes, whose logits have one axis more."""
    if any(each.dim() > len(given.event_shape) for each in given.tensors.values()):
        return independent(Categorical(logits=logits(given, trailing=1)), given)
    return _one_hot(given)


POSTERIOR_BUILDERS: dict[str, Callable[[LawInputs], Distribution]] = {
    "normal": normal,
    "normal_full": _normal_full,
    "laplace": laplace,
    "one_hot": _one_hot,
    "von_mises_fisher": _von_mises_fisher,
    "codes": _codes,
}
MARGINAL_BUILDERS: dict[str, Callable[[LawInputs], Distribution]] = {
    "standard_normal": _standard_normal,
    "normal": normal,
    "normal_mixture": _normal_mixture,
    "categorical": _categorical,
    "uniform_codes": lambda given: UniformCodes(given.whole("n_codes", least=1), given.event_shape),
    "uniform_sphere": lambda given: UniformSphere(given.flat_event()),
}
