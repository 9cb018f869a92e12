"""The model of the least D + beta R among many, and which others it is surely better than."""

from collections.abc import Mapping
from dataclasses import dataclass

from rdserve.compare.findings import Findings
from rdserve.compare.multiplicity import holm
from rdserve.compare.pairs import Pair


@dataclass(frozen=True)
class Leader:
    """name: of the least mean D + beta R. pairs: that with each other model, the nearest first.

    rivals: those not surely worse, by Holm over all pairs of the comparison, since which one leads is
    itself seen from the data.
    """

    name: str
    value: float
    pairs: Mapping[str, Pair]
    rivals: tuple[str, ...]


def leader(findings: Findings) -> Leader:
    """Of two models or more."""
    comparison = findings.comparison
    cost = {row.name: row.distortion_nats + comparison.beta * row.rate_nats for row in findings.scene.rows}
    best = min(cost, key=lambda name: cost[name])
    adjusted = holm([pair.weighted.p_value for pair in findings.pairs])
    surely = {
        (pair.a, pair.b): p < 1 - comparison.level for pair, p in zip(findings.pairs, adjusted, strict=True)
    }
    others = {
        pair.b if pair.a == best else pair.a: pair for pair in findings.pairs if best in (pair.a, pair.b)
    }
    nearest = sorted(others, key=lambda name: cost[name])
    rivals = tuple(name for name in nearest if not surely[others[name].a, others[name].b])
    return Leader(best, cost[best], {name: others[name] for name in nearest}, rivals)
