"""A yes or no for continuous integration: is any model worse than the baseline by more than allowed?

Every check is one-sided, at half of 1 - level. The gate passes where all checks pass, which errs no more
often than one of them (an intersection-union test: R. L. Berger, Technometrics 24, 1982), and fails where one
fails, which would err more often the more there are, hence Holm's correction over all checks. Both make up
for skewness.
"""

from dataclasses import astuple, dataclass, replace
from enum import IntEnum

from rdserve.client.errors import InputError
from rdserve.compare.analysis.contrasts import quantities
from rdserve.compare.analysis.sample import sample
from rdserve.compare.analysis.signature import signature
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics import skewness
from rdserve.compare.statistics.groups import by_group
from rdserve.compare.statistics.intervals import Float64, critical, p_differs
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import Difference, difference


class GateOutcome(IntEnum):
    """Also the exit code of the command."""

    PASS = 0
    FAIL = 1
    UNDECIDED = 2


@dataclass(frozen=True)
class Limits:
    """The most that each quantity may be worse than the baseline's, in nats per example; None: anything.

    weighted_increase is of D + beta R at the comparison's beta. A limit below 0 asks for an improvement.
    """

    rate_increase: float | None = None
    distortion_increase: float | None = None
    elbo_decrease: float | None = None
    weighted_increase: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything to keep to."""
        return any(limit is not None for limit in astuple(self))


@dataclass(frozen=True)
class Check:
    """One limit on one model: the paired difference to the baseline, and what follows at its level.

    p_broken: of "the limit is kept", two-sided, by Holm over all checks of the gate; 1 where it seems kept.
    """

    model: str
    quantity: str
    limit: float
    difference: Difference
    p_broken: float

    @property
    def outcome(self) -> GateOutcome:
        """Passes where the interval lies below the limit; fails where that is surely broken, among all."""
        low, high = self.difference.interval
        if high <= self.limit:
            return GateOutcome.PASS
        broken = low > self.limit and self.p_broken < 1 - self.difference.level
        return GateOutcome.FAIL if broken else GateOutcome.UNDECIDED

    @property
    def sentence(self) -> str:
        """What moved by how much, and how much is allowed."""
        low, high = self.difference.interval
        moved = f"{self.quantity} {self.difference.mean:+.3f} nats [{low:+.3f}, {high:+.3f}]"
        return f"{moved}, at most {self.limit:+.3f} allowed"


@dataclass(frozen=True)
class Gate:
    """All checks against one baseline. sample: what was scored; warnings, signature: the comparison's."""

    baseline: str
    checks: tuple[Check, ...]
    sample: str
    warnings: tuple[str, ...]
    signature: str

    @property
    def outcome(self) -> GateOutcome:
        """Fails where any check fails; passes where all pass; otherwise more images are needed."""
        outcomes = {check.outcome for check in self.checks}
        if GateOutcome.FAIL in outcomes:
            return GateOutcome.FAIL
        return GateOutcome.UNDECIDED if GateOutcome.UNDECIDED in outcomes else GateOutcome.PASS


def gate(scored: ScoreSet, baseline: str, limits: Limits) -> Gate:
    """Check every other model against the baseline.

    Raises:
        InputError: a baseline that was not scored, nothing to check against it, a model that gave no scores,
            or no limit at all.
    """
    scored.score(baseline)
    if scored.failures:
        raise InputError(f"no gate over models that failed: {', '.join(scored.failures)}")
    others = [name for name in scored.names if name != baseline]
    if not others:
        raise InputError(f"no model to check against the baseline {baseline!r}")
    checks = [check for name in others for check in _checks(scored, name, baseline, limits)]
    if not checks:
        raise InputError("a gate needs a limit, such as --max-rate-increase 0.2")
    adjusted = holm([check.p_broken for check in checks]).tolist()
    corrected = tuple(replace(check, p_broken=p) for check, p in zip(checks, adjusted, strict=True))
    return Gate(baseline, corrected, sample(scored), scored.warnings, signature(scored))


def _checks(scored: ScoreSet, name: str, baseline: str, limits: Limits) -> list[Check]:
    new, old = (quantities(scored, one) for one in (name, baseline))
    names = ("R", "D", "-ELBO", f"D + {scored.beta:g} R")
    return [
        _check(scored, name, quantity, limit, a, b)
        for quantity, limit, a, b in zip(names, astuple(limits), new, old, strict=True)
        if limit is not None
    ]


def _check(scored: ScoreSet, name: str, quantity: str, limit: float, a: Float64, b: Float64) -> Check:
    found = difference(a, b, level=scored.level, method=scored.method, groups=scored.group_ids)
    d, n = by_group(a - b, scored.group_ids), scored.n_independent
    if scored.method == "t":
        reach = skewness.reach(critical(found.level, n), skewness.skewness(d), d.size)
        found = found.reaching(float(reach))
    p = float(p_differs(d - limit, scored.method, skewed=True, n=n)) if found.mean > limit else 1.0
    return Check(name, quantity, limit, found, p)
