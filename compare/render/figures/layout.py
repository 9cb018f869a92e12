"""What the rate-distortion plane shows and where, in nats: shared by the figure and the report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.statistics import frontier
from rdserve.compare.statistics.ellipse import Ellipse
from rdserve.compare.statistics.summaries import ModelSummary

Float64 = NDArray[np.float64]

# More names than this hide what they name; then so many of the frontier have to do.
CROWD, NAMED_OF_A_CROWD = 24, 12


@dataclass(frozen=True)
class PlaneLayout:
    """rows and ellipses in one order, along the frontier. low, high: corners (R, D) of the frame.

    levels: R + D of the iso-ELBO lines. entropy: the best R + D. steps, hull, diagonal: paths (L, 2) of
    the Pareto frontier, the convex hull and the line of the best R + D.
    """

    rows: Sequence[ModelSummary]
    ellipses: Sequence[Ellipse | None]
    low: Float64
    high: Float64
    levels: Sequence[float]
    entropy: float
    steps: Float64
    hull: Float64
    diagonal: Float64

    @property
    def points(self) -> Float64:
        """(M, 2)."""
        return frontier.coordinates(self.rows)


def plane_layout(analysis: Analysis) -> PlaneLayout:
    """The plane of all models scored."""
    return of_rows(analysis.rows, analysis.ellipses)


def of_rows(found: Sequence[ModelSummary], ellipses: Sequence[Ellipse | None]) -> PlaneLayout:
    """The plane of rows, with their ellipses."""
    points = frontier.coordinates(found)
    low, high = _frame(points, ellipses)
    entropy = frontier.entropy_bound(points)
    diagonal = np.array([[low[0], entropy - low[0]], [high[0], entropy - high[0]]])
    levels = _iso_levels(low, high, entropy)
    steps, hull = _steps(points, low, high), frontier.convex_hull(points)
    return PlaneLayout(found, ellipses, low, high, levels, entropy, steps, hull, diagonal)


def labelled(rows: Sequence[ModelSummary], crowd: int = CROWD) -> list[int]:
    """Positions of the rows to name in the plane: all, or of a crowd some of the frontier, evenly spread."""
    if len(rows) <= crowd:
        return list(range(len(rows)))
    best = [index for index, row in enumerate(rows) if row.on_frontier]
    few = np.linspace(0, len(best) - 1, min(NAMED_OF_A_CROWD, crowd, len(best))).round().astype(int)
    return [best[index] for index in np.unique(few)]


def _frame(points: Float64, ellipses: Sequence[Ellipse | None]) -> tuple[Float64, Float64]:
    """Room for every ellipse, and a little more; no more than a sliver below zero."""
    reached = np.concatenate([points, *(ellipse.outline() for ellipse in ellipses if ellipse)])
    low, high = reached.min(0), reached.max(0)
    # Neither axis much shorter than the other, or lines of equal ELBO look level.
    pad = np.maximum(0.08 * (high - low), 0.5 * (0.2 * (high - low).max() - (high - low))) + 0.01
    low = np.where(low >= 0, np.maximum(low - pad, -0.3 * pad), low - pad)
    return low, high + pad


def _iso_levels(low: Float64, high: Float64, entropy: float) -> list[float]:
    """R + D of lines that cross a good part of the frame, not along the best R + D."""
    levels = np.array(MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]).tick_values(low.sum(), high.sum()))
    ends = [iso_ends(float(level), low, high) for level in levels]
    long = [end[1, 0] - end[0, 0] >= 0.12 * (high - low)[0] for end in ends]
    apart = np.abs(levels - entropy) >= 0.015 * (high - low).sum()
    return [float(level) for level in levels[np.array(long) & apart]]


def iso_ends(level: float, low: Float64, high: Float64) -> Float64:
    """(2, 2): where the line R + D = level enters the frame and leaves it, by rate."""
    rates = np.array([max(low[0], level - high[1]), min(high[0], level - low[1])])
    return np.stack([rates, level - rates], axis=1)


def _steps(points: Float64, low: Float64, high: Float64) -> Float64:
    best = np.unique(points[frontier.pareto(points)], axis=0)
    ends = np.concatenate([[[best[0, 0], high[1]]], best, [[high[0], best[-1, 1]]]])
    corners = np.stack([ends[1:, 0], ends[:-1, 1]], axis=-1)
    steps = np.stack([ends[:-1], corners], axis=1).reshape(-1, 2)
    return np.asarray(np.concatenate([steps, ends[-1:]]), np.float64)
