"""A yes or no for continuous integration: is any model worse than the baseline by more than allowed?

Every check is one-sided, at half of 1 - level. The gate passes where all checks pass, which errs no more
often than one of them (an intersection-union test: R. L. Berger, Technometrics 24, 1982), and fails where one
fails, which would err more often the more there are, hence Holm's correction over all checks. Both make up
for skewness.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from enum import IntEnum
from xml.etree import ElementTree

from rdserve.client.errors import InputError
from rdserve.compare.analysis.contrasts import quantities
from rdserve.compare.analysis.signature import signature
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics import skewness
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
    """All checks against one baseline. warnings, signature: the comparison's."""

    baseline: str
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    signature: str

    @property
    def outcome(self) -> GateOutcome:
        """Fails where any check fails; passes where all pass; otherwise more images are needed."""
        outcomes = {check.outcome for check in self.checks}
        if GateOutcome.FAIL in outcomes:
            return GateOutcome.FAIL
        return GateOutcome.UNDECIDED if GateOutcome.UNDECIDED in outcomes else GateOutcome.PASS


def gate(comparison: Comparison, baseline: str, limits: Limits) -> Gate:
    """Check every other model against the baseline.

    Raises:
        InputError: a baseline that was not scored, nothing to check against it, a model that gave no scores,
            or no limit at all.
    """
    comparison.score(baseline)
    if comparison.failures:
        raise InputError(f"no gate over models that failed: {', '.join(comparison.failures)}")
    others = [name for name in comparison.names if name != baseline]
    if not others:
        raise InputError(f"no model to check against the baseline {baseline!r}")
    checks = [check for name in others for check in _checks(comparison, name, baseline, limits)]
    if not checks:
        raise InputError("a gate needs a limit, such as --max-rate-increase 0.2")
    adjusted = holm([check.p_broken for check in checks]).tolist()
    corrected = tuple(replace(check, p_broken=p) for check, p in zip(checks, adjusted, strict=True))
    return Gate(baseline, corrected, comparison.warnings, signature(comparison))


def _checks(comparison: Comparison, name: str, baseline: str, limits: Limits) -> list[Check]:
    new, old = (quantities(comparison, one) for one in (name, baseline))
    names = ("R", "D", "-ELBO", f"D + {comparison.beta:g} R")
    return [
        _check(comparison, name, quantity, limit, a, b)
        for quantity, limit, a, b in zip(names, astuple(limits), new, old, strict=True)
        if limit is not None
    ]


def _check(comparison: Comparison, name: str, quantity: str, limit: float, a: Float64, b: Float64) -> Check:
    found = difference(a, b, level=comparison.level, method=comparison.method)
    if comparison.method == "t":
        lean = skewness.skewness(a - b)
        found = found.reaching(float(skewness.reach(critical(found.level, found.n), lean, found.n)))
    p = float(p_differs(a - b - limit, comparison.method, skewed=True)) if found.mean > limit else 1.0
    return Check(name, quantity, limit, found, p)


def to_junit(gate: Gate) -> str:
    """A JUnit test suite: a failure per failed check, a skip with the reason where undecided."""
    counts = [check.outcome for check in gate.checks]
    suite = ElementTree.Element(
        "testsuite",
        name=f"rdserve gate against {gate.baseline}",
        tests=str(len(counts)),
        failures=str(counts.count(GateOutcome.FAIL)),
        skipped=str(counts.count(GateOutcome.UNDECIDED)),
        errors="0",
    )
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", name="rdserve-signature", value=gate.signature)
    for check in gate.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.model, name=check.quantity)
        if check.outcome is not GateOutcome.PASS:
            tag = "failure" if check.outcome is GateOutcome.FAIL else "skipped"
            ElementTree.SubElement(case, tag, message=check.sentence)
    if gate.warnings:
        ElementTree.SubElement(suite, "system-err").text = "\n".join(gate.warnings)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_markdown(gate: Gate) -> str:
    """A summary for a pull request."""
    level = gate.checks[0].difference.level
    lines = [
        f"## Against {gate.baseline}: {gate.outcome.name.lower()}",
        "",
        "| model | quantity | change (nats) | interval | at most | outcome |",
        "|---|---|---:|---|---:|---|",
        *map(_line, gate.checks),
        "",
        f"Paired differences over {gate.checks[0].difference.n} images, {level:.0%} intervals, each by "
        f"itself: a check errs in at most {(1 - level) / 2:.1%} of cases, either way. "
        "What fails is by Holm over all checks.",
        *(f"\n> **Warning:** {warning}" for warning in gate.warnings),
        "",
        f"<!-- {gate.signature} -->",
    ]
    return "\n".join(lines) + "\n"


def _line(check: Check) -> str:
    low, high = check.difference.interval
    cells: Sequence[str] = (
        check.model.replace("|", "\\|"),
        check.quantity,
        f"{check.difference.mean:+.3f}",
        f"[{low:+.3f}, {high:+.3f}]",
        f"{check.limit:+.3f}",
        check.outcome.name.lower(),
    )
    return f"| {' | '.join(cells)} |"
