"""The model of the least D + beta R among many, and which others it is surely better than."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rdserve.compare.analysis.pairs import Pairs
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.summaries import ModelSummary


@dataclass(frozen=True)
class Leader:
    """name: of the least mean D + beta R. behind: each other model's minus it, the nearest first.

    Their intervals hold for every pair of the comparison at once, since which one leads is itself seen from
    the data. rivals: those not surely worse by them.
    """

    name: str
    value: float
    behind: Mapping[str, Difference]

    @property
    def rivals(self) -> tuple[str, ...]:
        return tuple(name for name, found in self.behind.items() if found.sign <= 0)


def leader(rows: Sequence[ModelSummary], pairs: Pairs, beta: float) -> Leader:
    """Of two models or more. pairs: all of them, at this beta."""
    cost = {row.name: row.distortion_nats + beta * row.rate_nats for row in rows}
    best = min(cost, key=lambda name: cost[name])
    others = sorted(pairs.against(best), key=lambda pair: cost[pair.a])
    return Leader(best, cost[best], {pair.a: pair.together(pair.weighted) for pair in others})
