"""All that is said of a comparison, computed once: what every file and the report write down."""

from dataclasses import dataclass
from functools import cached_property

from rdserve.compare.analysis.by_class import Classes, by_class
from rdserve.compare.analysis.pairs import Pairs, pairs
from rdserve.compare.analysis.signature import signature
from rdserve.compare.analysis.sweeps import Gap, Sweep, gaps, sweeps
from rdserve.compare.render.figures.layout import PlaneLayout, plane_layout
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics.dominance import dominated
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.summaries import ModelSummary


@dataclass(frozen=True)
class Analysis:
    """scene: rows along the frontier and the plane. pairs: every two models, a before b in the comparison.

    dominated_by: per model that another one surely beats in both R and D, that other one.
    signature: the line that names the numbers.
    """

    comparison: Comparison
    scene: PlaneLayout
    pairs: Pairs
    dominated_by: dict[str, str]
    signature: str

    @property
    def best(self) -> ModelSummary:
        """The row of the least R + D."""
        return max(self.scene.rows, key=lambda row: row.elbo_nats)

    @cached_property
    def _to_best(self) -> dict[str, Difference]:
        return {pair.a: pair.together(pair.total) for pair in self.pairs.against(self.best.name)}

    def against_best(self, name: str) -> Difference | None:
        """Of R + D, the model's minus the best one's; None for the best itself.

        Which one is the best is seen from the same images, hence intervals that hold for all pairs at once.
        """
        return self._to_best.get(name)

    @cached_property
    def classes(self) -> Classes | None:
        """Class by class against the model of the least D + beta R; None without labels or another model."""
        from rdserve.compare.analysis.leader import leader

        return by_class(self.comparison, leader(self).name) if self.pairs else None

    @cached_property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The curves over beta."""
        return sweeps(self.comparison, self.scene.entropy)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Between every two of them."""
        return tuple(gaps(self.comparison, self.sweeps))

    @property
    def title(self) -> str:
        """ "12 models on digits (test, 400 images)"."""
        data, m, n = self.comparison.data, len(self.comparison.models), self.comparison.n
        images = f"{n:,} image{'s' if n > 1 else ''}".replace(",", " ")
        return f"{m} model{'s' if m > 1 else ''} on {data.name} ({data.split}, {images})"


def analyse(comparison: Comparison) -> Analysis:
    """Compute everything."""
    every = pairs(comparison)
    return Analysis(
        comparison=comparison,
        scene=plane_layout(comparison),
        pairs=every,
        dominated_by=dominated(every),
        signature=signature(comparison),
    )
