"""All that is said of scores, each computed once: what the terminal, every file and the report write down."""

from dataclasses import dataclass, field
from functools import cached_property

from rdserve.compare.analysis.by_class import Classes, by_class
from rdserve.compare.analysis.dominance import dominated
from rdserve.compare.analysis.leader import Leader, leader
from rdserve.compare.analysis.pairs import Pairs, pairs
from rdserve.compare.analysis.recipes import Recipes, compared
from rdserve.compare.analysis.sample import sample
from rdserve.compare.analysis.signature import signature
from rdserve.compare.analysis.sweeps import Gap, Sweep, gaps, sweeps
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.bound_gap import Tightness, tightness
from rdserve.compare.statistics.ellipse import Ellipse, confidence_ellipse
from rdserve.compare.statistics.frontier import coordinates, entropy_bound
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.summaries import ModelSummary, summarise


@dataclass(frozen=True, eq=False)
class Analysis:
    """Statistics of scores. _pairs: those asked for so far, by baseline."""

    scored: ScoreSet
    _pairs: dict[str | None, Pairs] = field(default_factory=dict, repr=False)
    _classes: dict[str, Classes | None] = field(default_factory=dict, repr=False)

    def carried_to(self, scored: ScoreSet) -> "Analysis":
        """Of scores that differ in warnings or origin alone: no statistic depends on either."""
        return Analysis(scored, self._pairs, self._classes)

    @property
    def pairs(self) -> Pairs:
        """Every two models, a before b in the order of the scores."""
        return self.asked(None)

    def asked(self, baseline: str | None) -> Pairs:
        """All pairs; with a baseline, every other model against it, together without the rest."""
        if baseline not in self._pairs:
            self._pairs[baseline] = pairs(self.scored, baseline=baseline)
        return self._pairs[baseline]

    @cached_property
    def rows(self) -> tuple[ModelSummary, ...]:
        """The models along the frontier."""
        of, units = self.scored, self.scored.units.scores
        return tuple(summarise(of.models, of.scores, n_samples=of.n_samples, units=units))

    @cached_property
    def ellipses(self) -> tuple[Ellipse | None, ...]:
        """Where each row's point surely lies."""
        level, n = self.scored.level, self.scored.n_independent
        scores = [self.scored.units.score(row.name) for row in self.rows]
        return tuple(confidence_ellipse(s.rate_nats, s.distortion_nats, level=level, n=n) for s in scores)

    @property
    def best(self) -> ModelSummary:
        """The row of the least R + D."""
        return max(self.rows, key=lambda row: row.elbo_nats)

    @property
    def best_total(self) -> float:
        """The least R + D, an estimate from above of the entropy of the data, nats."""
        return entropy_bound(coordinates(self.rows))

    @cached_property
    def leader(self) -> Leader:
        """The model of the least D + beta R; of two models or more."""
        return leader(self.rows, self.pairs, self.scored.beta)

    @cached_property
    def dominated_by(self) -> dict[str, str]:
        """Per model that another one surely beats in both R and D, that other one."""
        return dominated(self.pairs)

    @cached_property
    def tightness(self) -> dict[str, Tightness]:
        """Per model, how far its ELBO falls short of log p(x) at least; empty for one sample per image."""
        scored = self.scored
        found = {name: tightness(scored.score(name), scored.n_samples) for name in scored.names}
        return {name: one for name, one in found.items() if one}

    @cached_property
    def unidentified(self) -> tuple[str, ...]:
        """Models of which the gap of the bounds may make the difference in ELBO to the best."""
        return tuple(pair.a for pair in self.pairs.against(self.best.name) if pair.identified is False)

    @cached_property
    def signature(self) -> str:
        """The line that names the numbers."""
        return signature(self.scored)

    @cached_property
    def _to_best(self) -> dict[str, Difference]:
        return {pair.a: pair.together(pair.total) for pair in self.pairs.against(self.best.name)}

    def against_best(self, name: str) -> Difference | None:
        """Of R + D, the model's minus the best one's; None for the best itself.

        Which one is the best is seen from the same images, hence intervals that hold for all pairs at once.
        """
        return self._to_best.get(name)

    @property
    def classes(self) -> Classes | None:
        """Class by class against the model of the least D + beta R; None without labels or another model."""
        return self.classes_against(self.leader.name) if self.pairs else None

    def classes_against(self, reference: str) -> Classes | None:
        """Class by class against this model."""
        if reference not in self._classes:
            self._classes[reference] = by_class(self.scored, reference)
        return self._classes[reference]

    @cached_property
    def recipes(self) -> Recipes | None:
        """Recipe against recipe, over runs and images; None where models alone are compared."""
        return compared(self.scored) if self.scored.by == "recipe" else None

    @cached_property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The curves over beta."""
        return sweeps(self.scored, self.best_total)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Between every two of them."""
        return tuple(gaps(self.scored, self.sweeps))

    @property
    def title(self) -> str:
        """ "12 models on digits (test, 400 images)"."""
        data, m = self.scored.data, len(self.scored.models)
        return f"{m} model{'s' if m > 1 else ''} on {data.name} ({data.split}, {self.sample})"

    @property
    def sample(self) -> str:
        """ "400 images", or "400 images in 43 groups"."""
        return sample(self.scored)
