"""When to stop scoring: what is settled so far, whenever one looks, and what it would still take."""

from dataclasses import dataclass
from math import ceil

from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.statistics.paired import Difference, weighted
from rdserve.compare.statistics.sequential import more_needed


@dataclass(frozen=True)
class StoppingStatus:
    """The question: which model has the least D + beta R? Or, with a baseline: which are better, which worse?

    n: images so far, in whole groups. open: pairs that the answer still waits for.
    more_needed: images that settle all of them if means and deviations stay; None if no number would.
    """

    n: int
    open: tuple[tuple[str, str], ...]
    more_needed: int | None

    @property
    def settled(self) -> bool:
        return not self.open


def stopping_status(
    analysis: Analysis, baseline: str | None = None, equivalence_margin: float = 0.0
) -> StoppingStatus:
    """What scores so far tell, for all pairs asked at once: their method is "sequential".

    equivalence_margin: two models whose difference surely lies within so many nats count as settled.
    """
    scored = analysis.scored
    if len(scored.models) < 2:
        return StoppingStatus(scored.n, (), 0)
    asked, best = analysis.asked(baseline), baseline or analysis.leader.name
    waiting = [
        pair for pair in asked.against(best) if not _settled(pair.together(pair.weighted), equivalence_margin)
    ]
    share = 1 - (1 - asked.level) / len(asked)
    cost = {
        name: weighted(scored.units.score(name), scored.beta) for pair in waiting for name in (pair.a, pair.b)
    }
    worth = scored.n_independent
    needed = [more_needed(cost[pair.a] - cost[pair.b], share, dimensions=2, n=worth) for pair in waiting]
    known = [ceil(max(more, 1) * scored.n / worth) for more in needed if more is not None]
    return StoppingStatus(
        scored.n,
        tuple((pair.a, pair.b) for pair in waiting),
        max(known, default=0) if len(known) == len(needed) else None,
    )


def _settled(found: Difference, margin: float) -> bool:
    low, high = found.interval
    return found.sign != 0 or (-margin < low and high < margin)
