"""When to stop scoring: what is settled so far, whenever one looks, and what it would still take."""

from dataclasses import dataclass, replace

from rdserve.compare.analysis.pairs import pairs
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics.paired import Difference, Float64, weighted
from rdserve.compare.statistics.sequential import Running


@dataclass(frozen=True)
class StoppingStatus:
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


def stopping_status(
    comparison: Comparison, baseline: str | None = None, equivalence_margin: float = 0.0
) -> StoppingStatus:
    """What scores so far tell, by intervals that hold at any time, for all pairs asked at once.

    equivalence_margin: two models whose difference surely lies within so many nats count as settled.
    """
    sequence = replace(comparison, method="sequential")
    if len(comparison.models) < 2:
        return StoppingStatus(comparison.n, (), 0)
    asked = pairs(sequence, baseline=baseline)
    best = baseline or min(comparison.names, key=lambda name: _cost(comparison, name).mean())
    waiting = [
        pair for pair in asked.against(best) if not _settled(pair.together(pair.weighted), equivalence_margin)
    ]
    share = 1 - (1 - asked.level) / len(asked)
    needed = [
        Running().add(_cost(comparison, pair.a) - _cost(comparison, pair.b)).more_needed(share, dimensions=2)
        for pair in waiting
    ]
    known = [max(more, 1) for more in needed if more is not None]
    return StoppingStatus(
        comparison.n,
        tuple((pair.a, pair.b) for pair in waiting),
        max(known, default=0) if len(known) == len(needed) else None,
    )


def _cost(comparison: Comparison, name: str) -> Float64:
    return weighted(comparison.score(name), comparison.beta)


def _settled(found: Difference, margin: float) -> bool:
    low, high = found.interval
    return found.sign != 0 or (-margin < low and high < margin)


def in_words(stopping_status: StoppingStatus) -> str:
    """What is open, and what it would take."""
    if stopping_status.settled:
        return f"Settled after {stopping_status.n} images."
    pairs = ", ".join(f"{a} against {b}" for a, b in stopping_status.open[:3])
    rest = f" and {len(stopping_status.open) - 3} more" if len(stopping_status.open) > 3 else ""
    return f"Open after {stopping_status.n} images: {pairs}{rest}; {_price(stopping_status.more_needed)}."


def _price(more: int | None) -> str:
    if more is None:
        return "no number of images would settle it if the means stay"
    return f"some {more} more would settle it if means and deviations stay"
