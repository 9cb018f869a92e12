"""A gate's outcome for continuous integration: JUnit for the build, Markdown for a pull request."""

from xml.etree import ElementTree

from rdserve.compare.analysis.gate import Check, Gate, GateOutcome


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
        f"Paired differences over {gate.sample}, {level:.0%} intervals, each by "
        f"itself: a check errs in at most {(1 - level) / 2:.1%} of cases, either way. "
        "What fails is by Holm over all checks.",
        *(f"\n> **Warning:** {warning}" for warning in gate.warnings),
        "",
        f"<!-- {gate.signature} -->",
    ]
    return "\n".join(lines) + "\n"


def _line(check: Check) -> str:
    low, high = check.difference.interval
    cells = (
        check.model.replace("|", "\\|"),
        check.quantity,
        f"{check.difference.mean:+.3f}",
        f"[{low:+.3f}, {high:+.3f}]",
        f"{check.limit:+.3f}",
        check.outcome.name.lower(),
    )
    return f"| {' | '.join(cells)} |"
