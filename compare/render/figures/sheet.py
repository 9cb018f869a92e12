"""Images beside what each model makes of them, as in the paper's figure 4."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from rdserve.client.results import Reconstruction, Sample
from rdserve.compare.render.figures.legend import FAINT, INK, MUTED, PAPER
from rdserve.compare.render.formatting import label
from rdserve.compare.statistics.latents import LEGEND, MARK
from rdserve.compare.statistics.summaries import ModelSummary

# Everything below is measured in cells: one cell holds one image.
MODELS_PER_PANEL = 6
HEADER, PANEL_GAP, PAIR_GAP, MARGIN, TITLE = 1.25, 0.30, 0.30, 0.25, 0.85
CELL_INCHES = 0.72
WARNING_WIDTH = 80  # signs

Axes = Any
UInt8 = NDArray[np.uint8]


def reconstruction_sheet(
    images: NDArray[Any],
    reconstructions: Mapping[str, Reconstruction],
    headers: Mapping[str, str],
    *,
    title: str = "",
    warning: str = "",
) -> Figure:
    """images (N, H, W) in the first column; then, per model of `headers`, one sample and the mean of its K.

    Each model's samples of an image share one z, so what differs between them is the decoder's doing.
    """
    pictures = {name: reconstructions[name].images for name in headers}
    few = textwrap.shorten(warning, WARNING_WIDTH, placeholder=" …") if warning else ""
    legend = f"{LEGEND}. " if any(MARK in header for header in headers.values()) else ""
    note = f"All samples of an image come from one z ~ e(z|x). {legend}{few}".strip()
    return _sheet(images, pictures, headers, title, note)


def sample_sheet(samples: Mapping[str, Sample], headers: Mapping[str, str], *, title: str = "") -> Figure:
    """Per model, one image and the mean of K for each z (N, K, H, W), as the paper's generations."""
    pictures = {name: sample.images for name, sample in samples.items()}
    return _sheet(None, pictures, headers, title, "All images of a row come from one z ~ m(z).")


def headers(rows: Sequence[ModelSummary]) -> dict[str, str]:
    """Per model the lines of the paper's header: tuple and beta, (R, D), ELBO."""
    return {
        row.name: f"{label(row, rows)}\n"
        + f"({row.rate_nats:z.1f}, {row.distortion_nats:.1f})\nELBO {row.elbo_nats:.1f} nats".replace(
            "-", "−"
        )
        for row in rows
    }


def _sheet(
    images: NDArray[Any] | None,
    pictures: Mapping[str, UInt8],
    headers: Mapping[str, str],
    title: str,
    note: str,
) -> Figure:
    names = list(pictures)
    panels = _balanced(names, MODELS_PER_PANEL)
    n = len(next(iter(pictures.values())))
    lead = 0.0 if images is None else 1 + PAIR_GAP
    columns = lead + max(map(len, panels)) * (2 + PAIR_GAP) - PAIR_GAP
    width = max(columns, 7.5) + 2 * MARGIN
    height = TITLE + len(panels) * (HEADER + n + PANEL_GAP) - PANEL_GAP + MARGIN
    figure, axes = page(width, height, title, note, dpi=160)
    for index, panel in enumerate(panels):
        top = TITLE + index * (HEADER + n + PANEL_GAP)
        _panel(axes, images, {name: pictures[name] for name in panel}, headers, top)
    return figure


def page(width: float, height: float, title: str, note: str, *, dpi: int) -> tuple[Figure, Any]:
    """An empty sheet of so many cells, its title and note on top; y runs downwards."""
    figure = Figure(figsize=(width * CELL_INCHES, height * CELL_INCHES), dpi=dpi, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(MARGIN, 0.4, title, fontsize=12, color=INK, weight="bold", va="center", parse_math=False)
    axes.text(MARGIN, 0.75, note, fontsize=8, color=MUTED, va="center", parse_math=False)
    return figure, axes


def _balanced(names: Sequence[str], most: int) -> list[list[str]]:
    """Consecutive groups of at most `most`, as equal in size as can be."""
    n_groups = -(-len(names) // most)
    return [list(group) for group in np.array_split(np.array(names, object), n_groups)]


def _panel(
    axes: Axes,
    images: NDArray[Any] | None,
    pictures: Mapping[str, UInt8],
    headers: Mapping[str, str],
    top: float,
) -> None:
    left, below = MARGIN, top + HEADER
    if images is not None:
        column(axes, images, left, below, "data")
        left += 1 + PAIR_GAP
    for name, drawn in pictures.items():
        _header(axes, left, top, headers[name])
        column(axes, drawn[:, 0], left, below, "sample")
        column(
            axes,
            drawn.mean(1),
            left + 1,
            below,
            "mean" if drawn.shape[1] == 1 else f"mean of {drawn.shape[1]}",
        )
        left += 2 + PAIR_GAP


def _header(axes: Axes, left: float, top: float, text: str) -> None:
    """The first line in bold, the others below it; a rule under all, as wide as the model's two columns."""
    first, _, rest = text.partition("\n")
    size = 9.5 if len(first) <= 14 else max(5.0, 9.5 * 14 / len(first))
    style = {"weight": "bold", "family": "DejaVu Sans Mono", "parse_math": False}
    axes.text(left + 0.05, top + 0.28, first, fontsize=size, color=INK, va="center", **style)
    axes.text(left + 0.05, top + 0.44, rest, fontsize=7.5, color=INK, va="top", linespacing=1.25)
    axes.plot([left + 0.05, left + 1.95], [top + HEADER - 0.28] * 2, color=FAINT, linewidth=1.0)


def column(axes: Axes, images: NDArray[Any], left: float, top: float, title: str) -> None:
    """images (N, H, W) in 0 .. 1 below one another, black ink on white."""
    axes.text(left + 0.5, top - 0.05, title, fontsize=6.5, color=MUTED, ha="center", va="bottom")
    style = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest", "aspect": "auto"}
    for index, image in enumerate(images):
        x, y = left + 0.05, top + index + 0.05
        axes.imshow(1 - image.astype(float), extent=(x, x + 0.9, y + 0.9, y), **style)
        axes.add_patch(Rectangle((x, y), 0.9, 0.9, fill=False, edgecolor=FAINT, linewidth=0.6, zorder=3))
