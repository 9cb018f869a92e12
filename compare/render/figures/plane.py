"""The rate-distortion plane as a figure: models as points, what they bound and what they attain."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render.figures.label_placement import Surroundings, dotted, nearest, needs_leader, place
from rdserve.compare.render.figures.layout import PlaneLayout, iso_ends, labelled, plane_layout
from rdserve.compare.render.figures.legend import (
    ACCENT,
    BEST,
    FAINT,
    FRONTIER,
    HULL,
    INK,
    MUTED,
    PAPER,
    draw_key,
    marker,
)
from rdserve.compare.render.formatting import label, number, warned
from rdserve.compare.statistics import frontier
from rdserve.compare.statistics.ellipse import Ellipse
from rdserve.compare.statistics.latents import LEGEND
from rdserve.compare.statistics.summaries import ModelSummary

LABEL = {"fontsize": 9, "color": INK, "family": "DejaVu Sans Mono", "parse_math": False}
WARNING_WIDTH = 150  # signs
HALO = withStroke(linewidth=2.5, foreground=PAPER)

# The Axes and Artist classes of matplotlib carry no types.
Axes = Any


def plane_of(analysis: Analysis) -> Figure:
    """The plane of all models scored."""
    return rd_plane(plane_layout(analysis), title=analysis.title, warning=warned(analysis.scored.warnings))


def rd_plane(layout: PlaneLayout, *, title: str = "", warning: str = "") -> Figure:
    """Every model at (R, D) with its 95% region, iso-ELBO lines, frontier, convex hull and best R + D.

    As in the paper: shape tells the marginal, lightness the decoder, fill the encoder.
    """
    figure = Figure(figsize=(9.0, 6.4), dpi=160, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.105, 0.655, 0.80))
    _frame(axes, layout)
    written = _iso_elbo(axes, layout)
    paths = [layout.steps, layout.hull, layout.diagonal]
    for path, style in zip(paths, (FRONTIER, HULL, BEST), strict=True):
        axes.plot(path[:, 0], path[:, 1], zorder=1, **style)
    for row, ellipse in zip(layout.rows, layout.ellipses, strict=True):
        _point(axes, row, ellipse)
    canvas.draw()
    name_marks(axes, layout.rows, written, paths)
    draw_key(figure, layout.entropy)
    if any(row.collapsed for row in layout.rows):
        words = LEGEND.replace(": ", ":\n", 1)
        figure.text(0.752, 0.105, words, fontsize=8.5, color=INK, va="bottom", parse_math=False)
    figure.text(0.075, 0.955, title, fontsize=12, color=INK, weight="bold", va="center", parse_math=False)
    lines = textwrap.fill(warning, WARNING_WIDTH, max_lines=2, placeholder=" …")
    figure.text(0.075, 0.939, lines, fontsize=7, color=ACCENT, va="top", parse_math=False)
    return figure


def save(figure: Figure, path: Path, signature: str = "") -> None:
    """Write a figure as .png or .svg with what made it; the same figure gives the same bytes."""
    if path.suffix == ".svg":
        about: dict[str, Any] = {"Creator": "rdserve", "Description": signature, "Date": None}
    else:
        about = {"Software": "rdserve", "Description": signature}
    with rc_context({"svg.hashsalt": "rdserve", "svg.fonttype": "none"}):
        figure.savefig(path, format=path.suffix[1:], metadata=about)


def _frame(axes: Axes, layout: PlaneLayout) -> None:
    axes.set_xlim(layout.low[0], layout.high[0])
    axes.set_ylim(layout.low[1], layout.high[1])
    axes.set_xlabel("rate R   (nats per image)", color=INK, fontsize=10)
    axes.set_ylabel("distortion D   (nats per image)", color=INK, fontsize=10)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)


def _iso_elbo(axes: Axes, layout: PlaneLayout) -> list[Any]:
    """Lines R + D = c through the frame, each with its ELBO at the lower right end; returns the texts."""
    texts = []
    for level in layout.levels:
        ends = iso_ends(level, layout.low, layout.high)
        axes.plot(ends[:, 0], ends[:, 1], color=FAINT, linewidth=0.8, zorder=0)
        end = ends[1, 0] - 0.012 * (layout.high - layout.low)[0]
        texts.append(_along_diagonal(axes, end, level - end, f"ELBO {number(-level)}"))
    return texts


def _along_diagonal(axes: Axes, x: float, y: float, text: str) -> Any:
    """Small text that ends at (x, y) and runs along a line R + D = c."""
    start, end = axes.transData.transform([(0, 0), (1, -1)])
    angle = float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
    style = {"rotation": angle, "rotation_mode": "anchor", "ha": "right", "va": "bottom"}
    return axes.text(x, y, text, fontsize=7, color="#9aa2b1", **style)


def _point(axes: Axes, row: ModelSummary, ellipse: Ellipse | None) -> None:
    """The marker, and around it where the model surely lies."""
    style = marker(row.family)
    if ellipse:
        edge = style["markeredgecolor"]
        axes.fill(
            *ellipse.outline().T, facecolor=(edge, 0.10), edgecolor=(edge, 0.5), linewidth=0.8, zorder=2
        )
    axes.plot(row.rate_nats, row.distortion_nats, zorder=3, **style)


def name_marks(
    axes: Axes, rows: Sequence[ModelSummary], written: Sequence[Any], paths: Sequence[NDArray[np.float64]]
) -> None:
    """Write each model's label where nothing else is, with a leader where that is not close."""
    words = {index: label(rows[index], rows) for index in labelled(rows)}
    name_points(axes, frontier.coordinates(rows), words, written, paths)


def name_points(
    axes: Axes,
    points: NDArray[np.float64],
    words: Mapping[int, str],
    written: Sequence[Any],
    paths: Sequence[NDArray[np.float64]],
) -> None:
    """Write words at some of the points (N, 2), by index; at none other, and on no text or path."""
    texts = [axes.text(0, 0, said, **LABEL, path_effects=[HALO]) for said in words.values()]
    sizes = np.array([box[2:] - box[:2] for box in map(_box, texts)])
    everywhere = axes.transData.transform(points)
    anchors = everywhere[list(words)]
    marks = [
        np.concatenate([everywhere - 9, everywhere + 9], axis=1),
        *(_box(text)[None] for text in written),
    ]
    lines = np.concatenate([dotted(axes.transData.transform(path)) for path in paths])
    around = Surroundings(_box(axes)[None], np.concatenate(marks), lines)
    for text, box, anchor in zip(texts, place(anchors, sizes, around), anchors, strict=True):
        x, y = np.round((box[:2] + box[2:]) / 2)
        text.set(x=x, y=y, ha="center", va="center", transform=None)
        end = nearest(box, anchor)
        if needs_leader(box, anchor, everywhere):
            leader = np.stack([anchor, end])
            axes.add_line(Line2D(*leader.T, transform=None, color=MUTED, linewidth=0.6, zorder=1.5))


def _box(artist: Any) -> NDArray[np.float64]:
    return np.array(artist.get_window_extent().extents)
