"""Every two models of a comparison: what differs, how surely, and for which beta."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from rdserve.client.errors import InputError
from rdserve.compare.comparison import Comparison
from rdserve.compare.multiplicity import holm
from rdserve.compare.paired import Difference, Float64, difference, weighted
from rdserve.compare.preference import Preference, preference
from rdserve.compare.tightness import identified, tightness


@dataclass(frozen=True)
class Pair:
    """Model a against model b on the same examples under the same noise; negative differences favour a.

    total: of R + D, the negative ELBO. weighted: of D + beta R at the comparison's beta.
    adjusted_p: of `total` among all the pairs it was computed with, by Holm.
    identified: whether the difference in ELBO exceeds the gap of the bounds; None for one sample.
    """

    a: str
    b: str
    rate: Difference
    distortion: Difference
    total: Difference
    weighted: Difference
    preference: Preference
    adjusted_p: float
    identified: bool | None


def pairs(
    comparison: Comparison, *, baseline: str | None = None, tie_margin: float = 0.0
) -> tuple[Pair, ...]:
    """All pairs (a, b), a before b in the comparison's order; with a baseline, every other model against it.

    Raises:
        InputError: a baseline that was not scored.
    """
    chosen = _against(comparison, baseline) if baseline else list(combinations(comparison.names, 2))
    found = [pair(comparison, a, b, tie_margin=tie_margin) for a, b in chosen]
    adjusted = holm([one.total.p_value for one in found])
    return tuple(replace(one, adjusted_p=float(p)) for one, p in zip(found, adjusted, strict=True))


def _against(comparison: Comparison, baseline: str) -> Sequence[tuple[str, str]]:
    comparison.score(baseline)
    return [(name, baseline) for name in comparison.names if name != baseline]


def pair(comparison: Comparison, a: str, b: str, *, tie_margin: float = 0.0) -> Pair:
    """One pair on its own: its p-value needs no adjustment.

    Raises:
        InputError: a model that was not scored, or one against itself.
    """
    if a == b:
        raise InputError(f"two different models, not {a!r} twice")
    one, other = comparison.score(a), comparison.score(b)

    def between(x: Float64, y: Float64) -> Difference:
        return difference(x, y, level=comparison.level, method=comparison.method, tie_margin=tie_margin)

    total = between(weighted(one, 1.0), weighted(other, 1.0))
    gaps = [tightness(score, comparison.n_samples) for score in (one, other)]
    return Pair(
        a=a,
        b=b,
        rate=between(one.rate_nats, other.rate_nats),
        distortion=between(one.distortion_nats, other.distortion_nats),
        total=total,
        weighted=between(weighted(one, comparison.beta), weighted(other, comparison.beta)),
        preference=preference(
            one.rate_nats - other.rate_nats,
            one.distortion_nats - other.distortion_nats,
            level=comparison.level,
            method=comparison.method,
        ),
        adjusted_p=total.p_value,
        identified=identified(total.mean, *gaps),
    )
