"""Sample sheets as the paper draws them: categories over models, a single sample and an average of each."""

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rdserve.compare.render.figures.legend import COMPLEX, INK, SIMPLE, Style
from rdserve.compare.render.figures.sheet import MARGIN, column, page
from rdserve.study.categories import Categorised

# In cells: one holds one image.
MODELS_PER_PANEL = 7
TITLE, CATEGORY, HEADER = 1.0, 0.45, 1.4
GAP, RULE, PANEL_GAP = 0.3, 0.5, 0.35
LINE, LETTER = 0.28, 0.14

Axes = Any
Images = NDArray[Any]


def draw(
    categorised: Sequence[Categorised],
    drawn: Mapping[str, Images],
    *,
    data: Images | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Per model a pair of columns of its images (N, K, H, W): the first of the K, and their average.

    filed: the models in order, those of one category beside one another. data: (N, H, W), the first column.
    """
    panels = _panels(categorised, MODELS_PER_PANEL)
    n = len(drawn[categorised[0].model.name])
    columns = max(_width(panel, data is not None) for panel in panels)
    width = max(columns, LETTER * max(len(title), 0.6 * len(note))) + 2 * MARGIN
    step = CATEGORY + HEADER + n + PANEL_GAP
    height = TITLE + len(panels) * step - PANEL_GAP + MARGIN
    figure, axes = page(width, height, title, note, dpi=110)
    for index, panel in enumerate(panels):
        _panel(axes, panel, drawn, data, TITLE + index * step)
    return figure


def _panels(categorised: Sequence[Categorised], most: int) -> list[list[Categorised]]:
    """Consecutive parts of at most `most`, as equal in size as can be."""
    edges = np.linspace(0, len(categorised), -(-len(categorised) // most) + 1).round().astype(int)
    return [list(categorised[start:stop]) for start, stop in pairwise(edges)]


def _width(panel: Sequence[Categorised], with_data: bool) -> float:
    n_groups = len({one.category for one in panel})
    return (1 + GAP) * with_data + len(panel) * (2 + GAP) + (n_groups - 1) * RULE


def _panel(
    axes: Axes, panel: Sequence[Categorised], drawn: Mapping[str, Images], data: Images | None, top: float
) -> None:
    left, below = MARGIN, top + CATEGORY + HEADER
    if data is not None:
        column(axes, data, left, below, "data")
        left += 1 + GAP
    bottom = below + len(drawn[panel[0].model.name])
    for number, (category, group) in enumerate(groupby(panel, key=lambda one: one.category)):
        if number:
            at = left - GAP + (RULE + GAP) / 2
            axes.plot([at, at], [top, bottom], color=SIMPLE, linewidth=1.2)
            left += RULE
        first = left
        for one in group:
            _pair(axes, one, drawn[one.model.name], left, top + CATEGORY)
            left += 2 + GAP
        _category(axes, category, first, left - GAP, top)


def _pair(axes: Axes, one: Categorised, images: Images, left: float, top: float) -> None:
    row, middle = one.model.row, left + 1
    tuple_: Style = {"fontsize": 10, "family": "DejaVu Sans Mono", "weight": "bold"}
    lines: list[tuple[str, Style]] = [
        (row.family, tuple_),
        (f"β = {row.beta:g}{', annealed' if one.model.annealed else ''}", {"fontsize": 8}),
        (f"({row.rate_nats:z.1f}, {row.distortion_nats:.1f})", {"fontsize": 8}),
        (f"ELBO −{one.model.cost:.1f}", {"fontsize": 8}),
    ]
    for number, (text, style) in enumerate(lines):
        y = top + (number + 0.5) * LINE
        axes.text(middle, y, text, color=INK, ha="center", va="center", parse_math=False, **style)
    column(axes, images[:, 0], left, top + HEADER, "sample")
    column(axes, images.mean(1), left + 1, top + HEADER, "average")


def _category(axes: Axes, category: str, left: float, right: float, top: float) -> None:
    """Its name, spanning its models; in two lines where they leave no room for one."""
    narrow = right - left < 0.2 * len(category)
    axes.text(
        (left + right) / 2,
        top + CATEGORY / 2,
        category.replace(" ", "\n") if narrow else category,
        fontsize=9 if narrow else 10.5,
        color=COMPLEX,
        weight="bold",
        ha="center",
        va="center",
        linespacing=1.0,
    )
