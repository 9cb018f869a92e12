"""The paper's figure 3 of a zoo: the rate-distortion plane, its parts, and -ELBO against R."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rdserve.compare.render.figures import plane
from rdserve.compare.render.figures.legend import (
    ACCENT,
    BEST,
    COMPLEX,
    INK,
    MUTED,
    PAPER,
    SIMPLE,
    draw_key,
    marker,
)
from rdserve.compare.statistics.frontier import convex_hull, coordinates, entropy_bound, pareto
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo

Axes = Any

# Which sign of the tuple, what it chooses, and the colour of each choice: figure 3a's panels (ii) to (iv).
PARTS = (
    ("encoder", 0, {"-": ("Gaussian", SIMPLE), "+": ("inverse autoregressive", COMPLEX)}),
    ("decoder", 1, {"-": ("deconvolution", SIMPLE), "+": ("autoregressive", COMPLEX)}),
    (
        "marginal",
        2,
        {"-": ("standard normal", SIMPLE), "+": ("autoregressive flow", COMPLEX), "v": ("VampPrior", ACCENT)},
    ),
)


def rate_distortion(zoo: ScoredZoo) -> Figure:
    """Figure 3a: all models, their Pareto frontier in steps, convex hull, and the line of the best R + D."""
    return plane.rd_plane(zoo.layout, title=zoo.title)


def by_part(zoo: ScoredZoo) -> Figure:
    """Figure 3a's other panels: the frontier of each choice of encoder, of decoder, of marginal."""
    figure, axes = _figure(12.5, 4.6, columns=3)
    points = coordinates([model.row for model in zoo.all])
    least = entropy_bound(points)
    high = 1.05 * float(points.max())
    for at, (part, sign, choices) in zip(axes, PARTS, strict=True):
        at.plot([0, least], [least, 0], **BEST)
        for choice, (words, colour) in choices.items():
            of = [model for model in zoo.all if model.family[sign : sign + 1] == choice]
            _frontier(at, of, f"{choice}  {words}", colour)
        _frame(at, "rate R", "distortion D")
        at.set(xlim=(-0.02 * high, high), ylim=(0, high))
        at.set_title(part, loc="left", fontsize=10, color=INK, weight="bold")
        at.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.suptitle(
        f"{zoo.title}; dashed: R + D = {least:.2f} nats", fontsize=11, color=INK, x=0.01, ha="left"
    )
    return figure


def cost_against_rate(zoo: ScoredZoo) -> Figure:
    """Figure 3b: R + D = -ELBO against R, the dashed line at the least."""
    figure = Figure(figsize=(9.0, 6.4), dpi=160, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.085, 0.105, 0.645, 0.80))
    shown = _near_the_best(zoo.all)
    least = min(model.cost for model in shown)
    axes.axhline(least, **BEST, zorder=0)
    for model in shown:
        axes.plot(model.row.rate_nats, model.cost, zorder=3, **marker(model.family))
    axes.margins(0.06)
    _frame(axes, "rate R", "−ELBO = R + D")
    canvas.draw()
    rows = [replace(model.row, distortion_nats=model.cost) for model in shown]
    plane.name_marks(axes, rows, [], [np.array([[0.0, least], [max(row.rate_nats for row in rows), least]])])
    draw_key(figure, least, lines={})
    left_out = len(zoo.all) - len(shown)
    note = f"; {left_out} further up left out" if left_out else ""
    figure.text(0.085, 0.955, zoo.title + note, fontsize=12, color=INK, weight="bold", va="center")
    return figure


def _near_the_best(models: Sequence[ScoredModel]) -> list[ScoredModel]:
    """Those within an eighth of the best R + D, as the paper's axis of 79 to 90 nats shows."""
    least = min(model.cost for model in models)
    return [model for model in models if model.cost <= 1.125 * least]


def _frontier(axes: Axes, models: Sequence[ScoredModel], words: str, colour: str) -> None:
    if not models:
        return
    points = coordinates([model.row for model in models])
    axes.plot(*points.T, "o", markersize=4, color=colour, alpha=0.45, markeredgewidth=0)
    best = np.unique(points[pareto(points)], axis=0)
    axes.step(*best.T, where="post", color=colour, linewidth=1.3)
    axes.plot(*convex_hull(points).T, color=colour, linewidth=0.9, linestyle=(0, (1, 1.6)), label=words)


def _figure(width: float, height: float, *, columns: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=130, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _frame(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(f"{across}   (nats per image)", color=INK, fontsize=10)
    axes.set_ylabel(f"{up}   (nats per image)", color=INK, fontsize=10)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
