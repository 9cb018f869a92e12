"""Where a run goes in the rate-distortion plane, as a picture that is drawn again as it goes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rdserve.models.card import Card
from rdserve.models.card_parts import ReferenceScores
from rdserve.models.reference import Means
from rdserve.trainer.config import Config
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import EpochMeans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "rate_distortion.png"
DRAW_EVERY_SECONDS = 10.0
COLOURS = {"train": "tab:blue", "valid": "tab:orange"}


class Curve(TrainingProgress):
    """Draws folder/rate_distortion.png: R against D after each epoch, both splits, and lines of equal ELBO.

    At most every ten seconds, and at the end, with the checkpoint's own place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn = -DRAW_EVERY_SECONDS

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        self._name, self._n_epochs, self._history = name, config.epochs, list(history)

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self._history.append(EpochMeans(epoch, train, valid))
        if time.monotonic() - self._drawn >= DRAW_EVERY_SECONDS:
            self._draw(None)
            self._drawn = time.monotonic()

    def ended(self, card: Card) -> None:
        self._draw(card.reference)

    def _draw(self, reference: ReferenceScores | None) -> None:
        title = f"{self._name}, epoch {self._history[-1].epoch if self._history else 0} of {self._n_epochs}"
        draft = self._folder / f".{FILE}.draft"
        plane(title, self._history, reference).savefig(draft, format="png", dpi=120)
        draft.replace(self._folder / FILE)


def plane(title: str, history: Sequence[EpochMeans], reference: ReferenceScores | None = None) -> "Figure":
    """The plane, nats on both axes; the first tenth of the epochs may lie outside."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    shown = []
    for split, colour in COLOURS.items() if history else ():
        means: list[Means] = [getattr(each, split) for each in history]
        rates, distortions = [m.rate for m in means], [m.distortion for m in means]
        axes.plot(rates, distortions, ".-", color=colour, lw=1, ms=4, alpha=0.6, label=split)
        axes.plot(rates[-1:], distortions[-1:], "o", color=colour, ms=8)
        shown += list(zip(rates, distortions, strict=True))[len(history) // 10 :]
    if reference:
        place = (reference.rate_nats, reference.distortion_nats)
        axes.plot(*place, "*", color="black", ms=13, label=f"checkpoint, {reference.split}")
        shown.append(place)
    if shown:
        _frame(axes, np.array(shown))
        axes.legend(loc="upper right")
    axes.set(title=title, xlabel="rate R, nats", ylabel="distortion D, nats")
    return figure


def _frame(axes: "Axes", points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    """Limits around points (N, 2), and dashed lines R + D = c through them."""
    from matplotlib.ticker import MaxNLocator

    least, most = points.min(0), points.max(0)
    margin = 0.06 * np.maximum(most - least, 0.5)
    axes.set_xlim(least[0] - margin[0], most[0] + margin[0])
    axes.set_ylim(least[1] - margin[1], most[1] + margin[1])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for total in MaxNLocator(8).tick_values(left + bottom, right + top):
        axes.axline((total - bottom, bottom), slope=-1, color="0.75", lw=0.8, ls="--", zorder=0)
        x, y = (left, total - left) if bottom < total - left < top else (total - bottom, bottom)
        if left <= x < right:
            axes.annotate(
                f"ELBO {-total:g}", (x, y), (3, 3), textcoords="offset points", color="0.5", fontsize=7
            )
