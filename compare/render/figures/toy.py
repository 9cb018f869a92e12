"""The paper's figure 2: the toy's laws, one column per model, drawn from exact tables."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

Panels = Mapping[str, NDArray[np.float64]]

CLASSES = ("#6a2c91", "#e0b400")  # purple and yellow, as in the paper
MAPS = (("e(z|x)", "x", "z"), ("d(x|z)", "z", "x"), ("p(x'|x)", "x", "x'"))


def figure(columns: Sequence[tuple[str, Panels]]) -> Figure:
    """Five rows per (title, panels): x-space, z-space, encoder, decoder, reconstruction."""
    drawing = Figure(figsize=(4 * len(columns), 15), layout="constrained")
    axes = drawing.subplots(5, len(columns), squeeze=False)
    for column, (title, panels) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=11, loc="left")
        _x_space(axes[0, column], panels)
        _z_space(axes[1, column], panels)
        for row, (name, across, up) in enumerate(MAPS, start=2):
            _map(axes[row, column], panels[name], name, across, up)
    return drawing


def _x_space(axes: Axes, panels: Panels) -> None:
    for name, width, style in (("p(x)", 4.0, "-"), ("g(x)", 2.0, "-"), ("d(x)", 1.2, "--")):
        colour = {"p(x)": "#c8c8c8", "g(x)": "#1f6fb4", "d(x)": "#b0302a"}[name]
        axes.stairs(panels[name], baseline=None, lw=width, ls=style, color=colour, label=name)
    _finish(axes, "x", "probability")


def _z_space(axes: Axes, panels: Panels) -> None:
    for name, colour in zip(("e(z, z*=0)", "e(z, z*=1)"), CLASSES, strict=True):
        axes.stairs(panels[name], fill=True, color=colour, alpha=0.45, label=name)
    axes.stairs(panels["e(z)"], baseline=None, lw=1.4, color="#333333", label="e(z)")
    axes.stairs(panels["m(z)"], baseline=None, lw=1.4, ls="--", color="#1f6fb4", label="m(z)")
    _finish(axes, "z", "probability")


def _map(axes: Axes, table: NDArray[np.float64], name: str, across: str, up: str) -> None:
    # A column is one conditioning value: what is conditioned on runs across.
    image = axes.imshow(table.T, origin="lower", aspect="equal", vmin=0, cmap="viridis")
    axes.set(xlabel=across, ylabel=up)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label=name)


def _finish(axes: Axes, across: str, up: str) -> None:
    axes.set(xlabel=across, ylabel=up, xlim=(0, 30), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def table(models: Mapping[str, Mapping[str, float]], entropy_nats: float) -> Table:
    """Each model's numbers, beside what H asks of them."""
    columns = ("rate_nats", "distortion_nats", "information_nats", "misfit_nats", "class_accuracy")
    heads = ("R", "D", "I(x; z)", "KL(p*‖g)", "accuracy", "R + D - H")
    drawn = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    drawn.add_column("model")
    for head in heads:
        drawn.add_column(head, justify="right")
    for name, numbers in models.items():
        gap = numbers["rate_nats"] + numbers["distortion_nats"] - entropy_nats
        drawn.add_row(name, *(f"{numbers[column]:.4f}" for column in columns), f"{gap:.1e}")
    drawn.caption = f"nats; H = {entropy_nats:.4f}; accuracy: the true class read from z, 0.7 by chance"
    return drawn
