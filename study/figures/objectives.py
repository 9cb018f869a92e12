"""Objectives in the rate-distortion plane, a panel for each family, each with its interval over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rdserve.compare.render.figures import plane
from rdserve.compare.render.figures.legend import ACCENT, COMPLEX, INK, MUTED, PAPER, SIMPLE
from rdserve.study.objectives import ObjectiveRow

MARKS = ("o", "s", "D", "^", "v", "P", "X", "*")
COLOURS = (ACCENT, COMPLEX, "#3b8b5a", "#8a4fa3", "#b58900", "#c23b6b", "#1f9aa8", "#5d6678")


def objectives(rows: Sequence[ObjectiveRow], title: str) -> Figure:
    """D against R: the curve of beta-VAEs as a line, other objectives as marks, by kind."""
    families = list(dict.fromkeys(row.family for row in rows))
    figure = Figure(figsize=(7.4 * len(families), 6.0), dpi=130, facecolor=PAPER, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(families), squeeze=False)[0]
    kinds = list(dict.fromkeys(kind(row) for row in rows if not row.on_curve))
    for axes, family in zip(panels, families, strict=True):
        _panel(axes, [row for row in rows if row.family == family], kinds)
        axes.set_title(family, loc="left", fontsize=11, color=INK, weight="bold", family="monospace")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    canvas.draw()
    figure.set_layout_engine("none")  # words are placed in pixels
    for axes, family in zip(panels, families, strict=True):
        _name(axes, [row for row in rows if row.family == family])
    return figure


def kind(row: ObjectiveRow) -> str:
    """What marks of one look have in common."""
    model = row.runs.first
    if model.family.startswith("sparse"):
        return "sparse codes"
    return "annealed" if model.is_beta_vae else model.info.objective


def _panel(axes: Any, rows: Sequence[ObjectiveRow], kinds: Sequence[str]) -> None:
    curve = sorted((row.rate.mean, row.distortion.mean) for row in rows if row.on_curve)
    if curve:
        axes.plot(*np.array(curve).T, color=SIMPLE, linewidth=1.2, zorder=1)
    told = set()
    for row in sorted(rows, key=lambda row: not row.on_curve):
        name = "beta, not annealed" if row.on_curve else kind(row)
        at = -1 if row.on_curve else kinds.index(name)
        axes.errorbar(
            row.rate.mean,
            row.distortion.mean,
            xerr=np.nan_to_num(row.rate.margin),
            yerr=np.nan_to_num(row.distortion.margin),
            fmt="." if row.on_curve else MARKS[at % len(MARKS)],
            color=SIMPLE if row.on_curve else COLOURS[at % len(COLOURS)],
            markersize=9 if row.on_curve else 6.5,
            elinewidth=0.9,
            label=None if name in told else name,
            zorder=2 if row.on_curve else 3,
        )
        told.add(name)
    axes.set_xlabel("rate R   (nats per image)", color=INK, fontsize=10)
    axes.set_ylabel("distortion D   (nats per image)", color=INK, fontsize=10)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")


def _name(axes: Any, rows: Sequence[ObjectiveRow]) -> None:
    """Once the figure is laid out: words beside each mark, off the curve and the legend."""
    points = np.array([[row.rate.mean, row.distortion.mean] for row in rows])
    curve = np.array(sorted([*point] for point, row in zip(points, rows, strict=True) if row.on_curve))
    words = {index: row.words for index, row in enumerate(rows)}
    path = curve if len(curve) else points[:1]
    plane.name_points(axes, points, words, [axes.get_legend()], [path])
