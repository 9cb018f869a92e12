"""The paper's five kinds of model, told apart by what was measured; docs/categories.md says why so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from rdserve.study.fidelity import Fidelity, FidelitySamples
from rdserve.study.zoo_scores import ScoredModel

# Cohen's kappa above which agreement is "substantial" (Landis and Koch, Biometrics 1977).
CLASS_KEPT = 0.6
# Of what two images of the data differ by: the bounds for a copy, and for another image of the class.
COPIED, RESAMPLED = 0.04, 0.5
# Nats. log 10 would name one of ten classes; the paper's autodecoders end at 2.8, the next begin at 6.0.
TOO_FEW_NATS = 3.0
# Without labels: the paper's own models lie so on 28x28 digits (sections 3.1 and 3.3 of its numbers).
MOST_SEMANTIC_NATS, MOST_COPY_DISTORTION_NATS = 15.0, 5.0
# Of the images, for the support of a category.
N_RESAMPLES = 1000


class Category(StrEnum):
    """Section 4 and figures 4 to 6."""

    AUTODECODER = "autodecoder"
    SEMANTIC = "semantic encoder"
    SYNTACTIC = "syntactic encoder"
    AUTOENCODER = "autoencoder"
    MISMATCH = "model mismatch"


@dataclass(frozen=True)
class Categorised:
    """A model, its category, and what the category was told from.

    support: the share of resamples of the images, with replacement, that file it the same; None where
    images had no part in it.
    """

    model: ScoredModel
    category: Category
    fidelity: Fidelity
    support: float | None = None

    @property
    def by(self) -> str:
        """ "measured", or "R and D alone" where no labels are known."""
        return "R and D alone" if self.fidelity.kept is None else "measured"


def categorise(model: ScoredModel, fidelity: Fidelity) -> Categorised:
    """The model under its category."""
    if fidelity.kept is None:
        return Categorised(model, by_place(model.row.rate_nats, model.row.distortion_nats), fidelity)
    return Categorised(
        model, by_fidelity(model.row.rate_nats, fidelity.kept, fidelity.error, fidelity.fresh_z), fidelity
    )


def categorise_with_support(model: ScoredModel, samples: FidelitySamples) -> Categorised:
    """The model under its category, and how firmly it lies there."""
    categorised = categorise(model, samples.fidelity())
    if categorised.fidelity.kept is None:
        return categorised
    rng = np.random.default_rng(samples.seed)
    resamples = (samples.fidelity(rng.integers(samples.n, size=samples.n)) for _ in range(N_RESAMPLES))
    alike = [categorise(model, fidelity).category == categorised.category for fidelity in resamples]
    return replace(categorised, support=float(np.mean(alike)))


def by_fidelity(rate_nats: float, kept: float, error: float, resampled: float) -> Category:
    """From the rate, the classes kept (kappa), and pixels: wrong ones, and those that z leaves open."""
    if error <= COPIED:
        return Category.AUTOENCODER
    if kept > CLASS_KEPT:
        return Category.SEMANTIC if resampled >= RESAMPLED else Category.SYNTACTIC
    return Category.AUTODECODER if rate_nats < TOO_FEW_NATS else Category.MISMATCH


def by_place(rate_nats: float, distortion_nats: float) -> Category:
    """From R and D alone, which cannot tell a mismatch."""
    if distortion_nats <= MOST_COPY_DISTORTION_NATS:
        return Category.AUTOENCODER
    if rate_nats < TOO_FEW_NATS:
        return Category.AUTODECODER
    return Category.SEMANTIC if rate_nats < MOST_SEMANTIC_NATS else Category.SYNTACTIC


def grouped(categorised: Sequence[Categorised]) -> list[Categorised]:
    """By category, in the order in which each first comes."""
    order = list(dict.fromkeys(one.category for one in categorised))
    return sorted(categorised, key=lambda one: order.index(one.category))
