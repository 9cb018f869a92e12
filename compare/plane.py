"""The rate-distortion plane as a figure: models as points, what they bound and what they attain."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rdserve.compare import frontier
from rdserve.compare.key import BEST, FAINT, FRONTIER, HULL, INK, MUTED, PAPER, draw_key, marker
from rdserve.compare.labels import Surroundings, nearest, place
from rdserve.compare.rows import Row

Z95 = 1.96
LABEL = {"fontsize": 9, "color": INK, "family": "DejaVu Sans Mono"}
HALO = withStroke(linewidth=2.5, foreground=PAPER)

# The Axes and Artist classes of matplotlib carry no types.
Axes = Any


def rd_plane(rows: Sequence[Row], *, title: str = "") -> Figure:
    """Every model at (R, D) with 95% intervals, iso-ELBO lines, frontier, convex hull and best R + D.

    As in the paper: shape tells the marginal, lightness the decoder, fill the encoder.
    """
    figure = Figure(figsize=(9.0, 6.4), dpi=160, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.105, 0.655, 0.80))
    points = frontier.coordinates(rows)
    entropy = frontier.entropy_bound(points)
    _frame(axes, rows)
    written = _iso_elbo(axes, entropy)
    paths = _bounds(axes, points)
    paths += [bar for row in rows for bar in _point(axes, row)]
    canvas.draw()
    _name(axes, rows, written, paths)
    draw_key(figure, entropy)
    figure.text(0.075, 0.955, title, fontsize=12, color=INK, weight="bold", va="center")
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    figure.savefig(path, format="png", metadata={"Software": "rdserve"})


def label(row: Row, rows: Sequence[Row]) -> str:
    """The paper's tuple, with beta unless it is 1; the model's name where these do not tell it apart."""
    if sum((other.family, other.beta) == (row.family, row.beta) for other in rows) > 1:
        return row.name
    return row.family if row.beta == 1 else f"{row.family} β{row.beta:g}"


def _frame(axes: Axes, rows: Sequence[Row]) -> None:
    """Room for every interval, and a little more; no more than a sliver below zero."""
    points = frontier.coordinates(rows)
    errors = np.array([[row.rate_standard_error_nats, row.distortion_standard_error_nats] for row in rows])
    errors = Z95 * np.nan_to_num(errors)
    low, high = (points - errors).min(0), (points + errors).max(0)
    # Neither axis much shorter than the other, or lines of equal ELBO look level.
    pad = np.maximum(0.08 * (high - low), 0.5 * (0.2 * (high - low).max() - (high - low))) + 0.01
    low = np.where(low >= 0, np.maximum(low - pad, -0.3 * pad), low - pad)
    axes.set_xlim(low[0], high[0] + pad[0])
    axes.set_ylim(low[1], high[1] + pad[1])
    axes.set_xlabel("rate R   (nats per image)", color=INK, fontsize=10)
    axes.set_ylabel("distortion D   (nats per image)", color=INK, fontsize=10)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)


def _iso_elbo(axes: Axes, entropy: float) -> list[Any]:
    """Lines R + D = c through the frame, each with its ELBO at the lower right end; returns the texts."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    span = right + top - left - bottom
    texts = []
    for level in MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]).tick_values(left + bottom, right + top):
        x = np.array([max(left, level - top), min(right, level - bottom)])
        if x[1] - x[0] < 0.12 * (right - left) or abs(level - entropy) < 0.015 * span:
            continue
        axes.plot(x, level - x, color=FAINT, linewidth=0.8, zorder=0)
        end = x[1] - 0.012 * (right - left)
        texts.append(_along_diagonal(axes, end, level - end, f"ELBO {-level:g}".replace("-", "−")))
    return texts


def _along_diagonal(axes: Axes, x: float, y: float, text: str) -> Any:
    """Small text that ends at (x, y) and runs along a line R + D = c."""
    start, end = axes.transData.transform([(0, 0), (1, -1)])
    angle = float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
    style = {"rotation": angle, "rotation_mode": "anchor", "ha": "right", "va": "bottom"}
    return axes.text(x, y, text, fontsize=7, color="#9aa2b1", **style)


def _bounds(axes: Axes, points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Frontier (steps), hull (dotted), best R + D (dashed); returns their paths, (L, 2) each."""
    (left, right), top = axes.get_xlim(), axes.get_ylim()[1]
    best = np.unique(points[frontier.pareto(points)], axis=0)
    ends = np.concatenate([[[best[0, 0], top]], best, [[right, best[-1, 1]]]])
    corners = np.stack([ends[1:, 0], ends[:-1, 1]], axis=-1)
    steps = np.stack([ends[:-1], corners], axis=1).reshape(-1, 2)
    steps = np.concatenate([steps, ends[-1:]])
    entropy = frontier.entropy_bound(points)
    diagonal = np.array([[left, entropy - left], [right, entropy - right]])
    hull = frontier.convex_hull(points)
    for path, style in ((steps, FRONTIER), (hull, HULL), (diagonal, BEST)):
        axes.plot(path[:, 0], path[:, 1], zorder=1, **style)
    return [steps, hull, diagonal]


def _point(axes: Axes, row: Row) -> list[NDArray[np.float64]]:
    """The marker and its 95% intervals; returns the intervals' paths, (2, 2) each."""
    middle = np.array([row.rate_nats, row.distortion_nats])
    reach = Z95 * np.nan_to_num([row.rate_standard_error_nats, row.distortion_standard_error_nats])
    axes.errorbar(
        row.rate_nats,
        row.distortion_nats,
        xerr=reach[0],
        yerr=reach[1],
        color=marker(row.family)["markeredgecolor"],
        elinewidth=0.8,
        alpha=0.55,
        zorder=2,
    )
    axes.plot(row.rate_nats, row.distortion_nats, zorder=3, **marker(row.family))
    arms = np.diag(reach)
    return [np.stack([middle - arm, middle + arm]) for arm in arms]


def _name(
    axes: Axes, rows: Sequence[Row], written: Sequence[Any], paths: Sequence[NDArray[np.float64]]
) -> None:
    """Write each model's label where nothing else is, with a leader where that is not close."""
    texts = [axes.text(0, 0, label(row, rows), **LABEL, path_effects=[HALO]) for row in rows]
    sizes = np.array([box[2:] - box[:2] for box in map(_box, texts)])
    anchors = axes.transData.transform(frontier.coordinates(rows))
    marks = [np.concatenate([anchors - 9, anchors + 9], axis=1), *(_box(text)[None] for text in written)]
    lines = np.concatenate([_dotted(axes.transData.transform(path)) for path in paths])
    around = Surroundings(_box(axes)[None], np.concatenate(marks), lines)
    for text, box, anchor in zip(texts, place(anchors, sizes, around), anchors, strict=True):
        x, y = np.round((box[:2] + box[2:]) / 2)
        text.set(x=x, y=y, ha="center", va="center", transform=None)
        end = nearest(box, anchor)
        if _needs_leader(box, anchor, anchors):
            leader = np.stack([anchor, end])
            axes.add_line(Line2D(*leader.T, transform=None, color=MUTED, linewidth=0.6, zorder=1.5))


def _needs_leader(box: NDArray[np.float64], anchor: NDArray[np.float64], all_: NDArray[np.float64]) -> bool:
    """A label far from its mark does, and one nearly as close to another mark."""
    own = float(np.hypot(*(nearest(box, anchor) - anchor)))
    others = [np.hypot(*(nearest(box, other) - other)) for other in all_ if (other != anchor).any()]
    return own > 34 or (own > 18 and min(others, default=np.inf) < own + 16)


def _dotted(path: NDArray[np.float64], step: float = 4.0) -> NDArray[np.float64]:
    """Points at most `step` pixels apart along a path (L, 2)."""
    pieces = [path[-1:]]
    for start, end in pairwise(path):
        n = 1 + int(np.hypot(*(end - start)) // step)
        pieces.append(start + (end - start) * np.linspace(0, 1, n, endpoint=False)[:, None])
    return np.concatenate(pieces)


def _box(artist: Any) -> NDArray[np.float64]:
    return np.array(artist.get_window_extent().extents)
