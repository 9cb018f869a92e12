"""How models and lines are drawn in the rate-distortion plane, and the key that says so.

As in the paper: shape tells the marginal, lightness the decoder, fill the encoder.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, MUTED, FAINT, PAPER = "#16213a", "#5d6678", "#d5d9e0", "#ffffff"
SIMPLE, COMPLEX, ACCENT = "#7aa5d8", "#1d3f73", "#c0562b"

Style = Mapping[str, Any]
FRONTIER: Style = {"color": ACCENT, "linewidth": 1.3}
HULL: Style = {"color": ACCENT, "linewidth": 0.9, "linestyle": (0, (1, 1.6))}
BEST: Style = {"color": INK, "linewidth": 1.1, "linestyle": (0, (6, 4))}

_OF_THE_PLANE: Mapping[str, Style] = {
    "Pareto frontier": FRONTIER,
    "convex hull": HULL,
    "equal ELBO": {"color": "#b9c0cb", "linewidth": 0.9},
    "95% region of (R, D)": {"color": COMPLEX, "linewidth": 0.9, "alpha": 0.6},
}

# A family that is no tuple of the paper's has a mark of its own.
_MARKER = {"?": ("^", 8.0), "-": ("o", 8.0), "+": ("s", 7.5), "v": ("D", 7.0)}


def parts(family: str) -> tuple[str, str, str]:
    """Encoder, decoder and marginal of the paper's tuple; of another family, `sparse-` say, with "?" for its
    marginal."""
    known = len(family) == 3 and family[0] in "-+" and family[1] in "-+" and family[2] in "-+v"
    if known:
        return family[0], family[1], family[2]
    return "-", "-" if family.endswith("-") else "+", "?"


def marker(family: str) -> Style:
    """Marker of an (encoder, decoder, marginal) tuple."""
    encoder, decoder, marginal = parts(family)
    ink = COMPLEX if decoder == "+" else SIMPLE
    shape, size = _MARKER[marginal]
    return {
        "marker": shape,
        "markersize": size,
        "markeredgecolor": ink,
        "markerfacecolor": ink if encoder == "+" else PAPER,
        "markeredgewidth": 1.6,
        "linestyle": "none",
    }


def draw_key(figure: Figure, entropy: float, *, lines: Mapping[str, Style] | None = None) -> None:
    """What marks and lines mean, in a column at the right of the figure; entropy is the best R + D, nats.

    lines: those beside the one of the best R + D; the plane's, unless given.
    """
    groups: dict[str, dict[str, Style]] = {
        "marginal m(z): shape": {
            "-  standard normal": marker("++-"),
            "+  autoregressive flow": marker("+++"),
            "v  VampPrior": marker("++v"),
        },
        "decoder d(x|z): lightness": {"-  deconvolution": marker("+--"), "+  autoregressive": marker("++-")},
        "encoder e(z|x): fill": {"-  Gaussian": marker("-+-"), "+  inverse autoregressive": marker("++-")},
        "lines": {f"best R + D = {entropy:.2f} nats": BEST, **(_OF_THE_PLANE if lines is None else lines)},
    }
    top = 0.905
    for title, entries in groups.items():
        _legend(figure, title, entries, top)
        top -= 0.0525 + 0.0285 * len(entries)


def _legend(figure: Figure, title: str, entries: Mapping[str, Style], top: float) -> None:
    legend = figure.legend(
        [Line2D([], [], **style) for style in entries.values()],
        list(entries),
        title=title,
        loc="upper left",
        bbox_to_anchor=(0.752, top),
        frameon=False,
        fontsize=8.5,
        alignment="left",
        labelcolor=INK,
        borderaxespad=0,
        borderpad=0,
    )
    legend.get_title().set(fontsize=8.5, color=MUTED)
