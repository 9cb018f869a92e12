"""What `compare` gives: scores, all that follows from them, and ways to look at it or write it down."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.pairs import Pairs
from rdserve.compare.scores import ScoreSet
from rdserve.compare.scoring.pictures import Pictures, take

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("rate_nats", "distortion_nats", "elbo_nats", "importance_bound_nats", "importance_ess")


@dataclass(frozen=True, eq=False)
class Comparison(ScoreSet):
    """Scores, and what is computed from them: each once, when it is first asked for.

    images: (N, H, W) booleans; client: open while pictures may still be drawn.
    """

    images: NDArray[Any] | None = field(default=None, repr=False)
    client: Client | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images is not None and len(self.images) != self.n:
            raise InputError(f"{self.n} example ids, but {len(self.images)} images")

    @classmethod
    def of(cls, analysis: Analysis, images: NDArray[Any] | None, client: Client | None) -> "Comparison":
        """Of scores that are analysed already."""
        scored = {each.name: getattr(analysis.scored, each.name) for each in fields(ScoreSet)}
        comparison = cls(**scored, images=images, client=client)
        vars(comparison)["analysis"] = analysis  # as `cached_property` keeps it
        return comparison

    @cached_property
    def analysis(self) -> Analysis:
        """All that is said of it: rows, pairs, frontier, who is dominated."""
        return Analysis(self)

    @property
    def findings(self) -> Analysis:
        """The analysis, by its first name."""
        return self.analysis

    @property
    def pairs(self) -> Pairs:
        """Every two models, a before b: their paired differences and preference."""
        return self.analysis.pairs

    # What draws and writes is imported on use: numbers alone need none of it.

    @cached_property
    def verdict(self) -> str:
        """One paragraph: who is better, by how much, for which beta, and what stays open."""
        from rdserve.compare.render.verdict import verdict

        return verdict(self.analysis)

    def table(self, width: int = 100) -> str:
        """The models along the frontier, and their differences to the best, as text."""
        from rdserve.compare.render.terminal import as_text

        return as_text(self.analysis, width)

    def figure(self) -> "Figure":
        """The rate-distortion plane, a matplotlib figure."""
        from rdserve.compare.render.figures.plane import plane_of

        return plane_of(self.analysis)

    def pictures(self, on_progress: Callable[[str], None] | None = None) -> Pictures | None:
        """Ask every model for its pictures; None without images or client. on_progress: told each name."""
        if self.client is None or self.images is None:
            return None
        return take(self, self.client, self.images, on_progress)

    def report(self, path: Path | str) -> Path:
        """Write the report, one self-contained HTML file, with pictures drawn now, and return its path."""
        from rdserve.compare.render.html.report import render

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(self.analysis, self.pictures(), self.images), encoding="utf-8")
        return path

    def to_frame(self) -> Any:
        """A pandas DataFrame with a line per model and example. Raises ImportError without pandas."""
        import pandas

        columns: dict[str, Any] = {"example_id": self.example_ids}
        if self.labels is not None:
            columns |= {"label": self.labels}
        if self.group_ids is not None:
            columns |= {"group": self.group_ids}
        frames = [
            pandas.DataFrame(
                {"model": info.name} | columns | {name: getattr(score, name) for name in COLUMNS}
            )
            for info, score in zip(self.models, self.scores, strict=True)
        ]
        return pandas.concat(frames, ignore_index=True)
