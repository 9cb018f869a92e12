"""Which models go into which of the paper's figures, by rule; and which of them the zoo lacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdserve.study.zoo_scores import ScoredModel

# The paper's order of the families (figure 5), and of its sweep along beta (figure 4a).
FIGURE_5 = ("---", "--+", "+--", "+-+", "--v", "+-v", "-+-", "-++", "++-", "+++", "-+v", "++v")
FIGURE_4C = ("--v", "+-v", "-+v", "++v")
FIGURE_4A_FAMILY, FIGURE_4A_BETAS = "-+v", (1.1, 1.0, 0.15, 0.1)
N_OF_EQUAL_ELBO, N_ON_FRONTIER = 4, 13
# The four of figure 4d lie within 4% of the least R + D, 80.2 nats.
NEAR = 0.05


@dataclass(frozen=True)
class FigureSelection:
    """The models of a figure, in its order, and what it should show besides."""

    models: tuple[ScoredModel, ...]
    missing: tuple[str, ...] = ()


def words(family: str, beta: float, *, annealed: bool) -> str:
    """ "-+v at beta 1, annealed": what annealing decides is said at beta 1 alone."""
    how = (", annealed" if annealed else ", not annealed") if _decides(family, beta) else ""
    return f"{family} at beta {beta:g}{how}"


def find(models: Sequence[ScoredModel], family: str, beta: float, *, annealed: bool) -> ScoredModel | None:
    """The beta-VAE so trained; of several, the one with the least D + beta R.

    Where annealing does not decide what comes out, a run of the other kind stands in for one that is not
    there; `stand_in` says so. It decides at beta 1 with an autoregressive decoder, which may ignore z from
    the start.
    """
    there = [model for model in models if model.is_beta_vae and (model.family, model.beta) == (family, beta)]
    alike = [model for model in there if model.annealed == annealed]
    if not alike and not _decides(family, beta):
        alike = there
    return min(alike, key=lambda model: model.row.distortion_nats + beta * model.row.rate_nats, default=None)


def stand_in(model: ScoredModel, start: str | None, *, annealed: bool | None) -> str:
    """How a run's training differs from one of random weights, annealed or not; empty where it does not.

    start: the checkpoint it began from, as its card says; annealed: None where anything will do.
    """
    said = []
    if annealed is not None and model.annealed != annealed:
        said.append("annealed" if model.annealed else "not annealed")
    if start:
        said.append(f"started from {start}")
    return ", ".join(said)


def _decides(family: str, beta: float) -> bool:
    return beta == 1 and family[1:2] == "+"


def sweep(models: Sequence[ScoredModel]) -> FigureSelection:
    """Figures 4a and 4b: one family along beta, annealed."""
    return _wanted(models, [(FIGURE_4A_FAMILY, beta) for beta in FIGURE_4A_BETAS], annealed=True)


def traditional_vamp(models: Sequence[ScoredModel]) -> FigureSelection:
    """Figure 4c: VampPriors at beta 1, not annealed."""
    return _wanted(models, [(family, 1.0) for family in FIGURE_4C], annealed=False)


def traditional(models: Sequence[ScoredModel]) -> FigureSelection:
    """Figure 5: all families as traditional VAEs, at beta 1 and not annealed."""
    return _wanted(models, [(family, 1.0) for family in FIGURE_5], annealed=False)


def of_equal_elbo(models: Sequence[ScoredModel]) -> FigureSelection:
    """Figure 4d: four models whose ELBOs are near the best and whose rates are as apart as can be."""
    least = min(model.cost for model in models)
    near = [model for model in models if model.cost <= (1 + NEAR) * least]
    if len(near) < N_OF_EQUAL_ELBO:
        lacking = f"{N_OF_EQUAL_ELBO - len(near)} more models within {NEAR:.0%} of the best R + D"
        return FigureSelection(_by_rate(near), (lacking,))
    chosen: list[ScoredModel] = []
    rates = [model.row.rate_nats for model in near]
    for rate in np.linspace(max(rates), min(rates), N_OF_EQUAL_ELBO):
        left = [model for model in near if model not in chosen]
        chosen.append(min(left, key=lambda model: abs(model.row.rate_nats - rate)))
    return FigureSelection(_by_rate(chosen))


def on_frontier(models: Sequence[ScoredModel]) -> FigureSelection:
    """Figure 6: the models of the Pareto frontier; of more than 13, those with the least R + D."""
    best = sorted((model for model in models if model.row.on_frontier), key=lambda model: model.cost)
    return FigureSelection(_by_rate(best[:N_ON_FRONTIER]))


RULES: dict[str, Callable[[Sequence[ScoredModel]], FigureSelection]] = {
    "4a": sweep,
    "4b": sweep,
    "4c": traditional_vamp,
    "4d": of_equal_elbo,
    "5": traditional,
    "6": on_frontier,
}


def _wanted(
    models: Sequence[ScoredModel], wanted: Sequence[tuple[str, float]], *, annealed: bool
) -> FigureSelection:
    found = {(f, b): find(models, f, b, annealed=annealed) for f, b in wanted}
    there = [model for model in found.values() if model is not None]
    missing = [words(f, b, annealed=annealed) for (f, b), model in found.items() if model is None]
    return FigureSelection(tuple(there), tuple(missing))


def _by_rate(models: Sequence[ScoredModel]) -> tuple[ScoredModel, ...]:
    return tuple(sorted(models, key=lambda model: -model.row.rate_nats))
