"""When to stop scoring: what is settled so far, whenever one looks, and what it would still take."""

from dataclasses import dataclass
from itertools import combinations

from rdserve.compare import intervals
from rdserve.compare.comparison import Comparison
from rdserve.compare.multiplicity import holm
from rdserve.compare.paired import Float64, weighted
from rdserve.compare.sequential import Running


@dataclass(frozen=True)
class Standing:
    """The question: which model has the least D + beta R? Or, with a baseline: which are better, which worse?

    n: images so far. open: pairs that the answer still waits for.
    more_needed: images that settle all of them if means and deviations stay; None if no number would.
    """

    n: int
    open: tuple[tuple[str, str], ...]
    more_needed: int | None

    @property
    def settled(self) -> bool:
        return not self.open


def standing(
    comparison: Comparison, baseline: str | None = None, equivalence_margin: float = 0.0
) -> Standing:
    """What scores so far tell, by p-values that may be read at any time, with Holm over all pairs asked.

    equivalence_margin: two models whose difference surely lies within so many nats count as settled.
    """
    names = comparison.names
    costs = {name: weighted(comparison.score(name), comparison.beta) for name in names}
    asked = _asked(costs, baseline)
    if not asked:
        return Standing(comparison.n, (), 0)
    adjusted = holm([float(intervals.p_differs(costs[a] - costs[b], "sequential")) for a, b in asked])
    level = 1 - (1 - comparison.level) / len(asked)
    best = baseline or min(names, key=lambda name: float(costs[name].mean()))
    still_open = {
        (a, b): Running().add(costs[a] - costs[b])
        for (a, b), p in zip(asked, adjusted, strict=True)
        if best in (a, b) and not p < 1 - comparison.level
    }
    waiting = {
        pair: running
        for pair, running in still_open.items()
        if not running.settled(level, equivalence_margin)
    }
    needed = [running.more_needed(level) for running in waiting.values()]
    known = [more for more in needed if more is not None]
    return Standing(
        comparison.n, tuple(waiting), max(known, default=0) if len(known) == len(needed) else None
    )


def _asked(costs: dict[str, Float64], baseline: str | None) -> list[tuple[str, str]]:
    if baseline is not None:
        return [(name, baseline) for name in costs if name != baseline]
    return list(combinations(costs, 2))


def in_words(standing: Standing) -> str:
    """What is open, and what it would take."""
    if standing.settled:
        return f"Settled after {standing.n} images."
    pairs = ", ".join(f"{a} against {b}" for a, b in standing.open[:3])
    rest = f" and {len(standing.open) - 3} more" if len(standing.open) > 3 else ""
    return f"Open after {standing.n} images: {pairs}{rest}; {_cost(standing.more_needed)}."


def _cost(more: int | None) -> str:
    if more is None:
        return "no number of images would settle it if the means stay"
    return f"some {more} more would settle it if means and deviations stay"
