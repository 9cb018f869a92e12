"""Are two sets of scores the same in practice? For one model in another precision, compiled, or elsewhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.compare.statistics.groups import by_group, independent
from rdserve.compare.statistics.intervals import Interval, Method, interval, p_below
from rdserve.compare.statistics.paired import Difference, difference

if TYPE_CHECKING:
    from rdserve.client.results import Score

Outcome = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests that the mean difference lies within -margin .. margin nats.

    p_value: of the larger of the two tests; below 1 - level the means are equivalent.
    interval: at level 1 - 2 (1 - level). By Student's t it lies within the margin exactly where the means are
    equivalent; a sequence's test is the stricter of the two.
    """

    difference: Difference
    margin: float
    p_value: float
    interval: Interval
    outcome: Outcome


def equivalence(
    a: ArrayLike,
    b: ArrayLike,
    *,
    margin: float,
    level: float = 0.95,
    method: Method = "t",
    groups: NDArray[Any] | None = None,
) -> Equivalence:
    """Test per-example values a and b, (N,) each, of the same examples, to a margin in nats.

    groups: (N,) ids of examples that depend on one another.
    "different" is said where the two-sided interval at `level` lies wholly outside the margin.
    Source: D. J. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    Raises:
        ValueError: a margin that is not above zero; as `difference`.
    """
    if not margin > 0:
        raise ValueError(f"the margin is a number of nats above 0, got {margin}")
    found = difference(a, b, level=level, method=method, groups=groups)
    d = by_group(np.asarray(a, np.float64) - np.asarray(b, np.float64), groups)
    n = independent(found.n, groups)
    p = float(max(p_below(d, margin, method, n), p_below(-d, margin, method, n)))
    inner = interval(d, 2 * level - 1, method, n)
    return Equivalence(found, margin, p, inner, _outcome(found.interval, p, margin, level))


def _outcome(interval: Interval, p: float, margin: float, level: float) -> Outcome:
    if p < 1 - level:
        return "equivalent"
    return "different" if interval.low > margin or interval.high < -margin else "undecided"


def same(
    a: "Score",
    b: "Score",
    *,
    margin: float,
    level: float = 0.95,
    method: Method = "t",
    groups: NDArray[Any] | None = None,
) -> Outcome:
    """Whether two models agree in R and in D: "equivalent" if in both, "different" if surely not in one.

    "equivalent" needs both tests, and so no correction; "different" is at `level` for each of them.
    """
    found = {
        equivalence(x, y, margin=margin, level=level, method=method, groups=groups).outcome
        for x, y in ((a.rate_nats, b.rate_nats), (a.distortion_nats, b.distortion_nats))
    }
    if "different" in found:
        return "different"
    return "undecided" if "undecided" in found else "equivalent"
