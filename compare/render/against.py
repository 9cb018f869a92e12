"""Every model against one of them, as a table for a terminal of 100 columns."""

import math

from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.by_class import by_class
from rdserve.compare.analysis.contrasts import QUANTITIES
from rdserve.compare.analysis.leader import leader
from rdserve.compare.analysis.pairs import Pair, Pairs, pairs
from rdserve.compare.render.formatting import nats, p_value, shortened, signed
from rdserve.compare.render.verdict import objective
from rdserve.compare.scores import Comparison
from rdserve.compare.statistics.equivalence import same
from rdserve.compare.statistics.intervals import FEW
from rdserve.compare.statistics.multiplicity import holm
from rdserve.compare.statistics.paired import Difference
from rich.console import Group
from rich.table import Table
from rich.text import Text

NAME_WIDTH = 24
# What fits 100 columns, and a screen.
MOST_BESIDE, BESIDE_WIDTH, MOST_CLASSES = 3, 24, 20


def differences_table(
    findings: Analysis, *, baseline: str | None = None, equivalence_margin: float | None = None
) -> Table:
    """Paired differences to the baseline, or to the model of the least D + beta R; of two models or more.

    equivalence_margin: says "same" of models whose R and D both lie within so many nats of the baseline's.
    """
    comparison, reference = findings.comparison, baseline or leader(findings).name
    # Which model leads is seen from the data: its pairs hold together with all others.
    asked = pairs(comparison, baseline=baseline) if baseline else findings.pairs
    adjusted = _adjusted(asked)
    what = objective(comparison.beta)
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column(f"minus {shortened(reference, NAME_WIDTH - 6)}", no_wrap=True)
    for name in ("R", "D", what, "lower on", "p", ""):
        table.add_column(name, justify="right", no_wrap=True)
    by_name = {pair.a: pair for pair in asked.against(reference)}
    for row in findings.scene.rows:
        if pair := by_name.get(row.name):
            name, p = shortened(row.name, NAME_WIDTH), adjusted[frozenset((row.name, reference))]
            outcome = _outcome(comparison, pair, equivalence_margin)
            values = [_with_reach(pair.together(d)) for d in (pair.rate, pair.distortion, pair.weighted)]
            table.add_row(*map(Text, (name, *values, _share(pair.weighted), p_value(p), outcome)))
    table.caption = _caption(comparison, reference, equivalence_margin)
    return table


def class_table(findings: Analysis, baseline: str | None = None) -> Group | None:
    """Class by class against the baseline, or the model of the least D + beta R; None where there are no
    classes, or too many of them or of models."""
    found = by_class(findings.comparison, baseline) if baseline else findings.classes
    if found is None or len(found.differences) > MOST_BESIDE or len(found.labels) > MOST_CLASSES:
        return None
    if not any(math.isfinite(one.interval.low) for of in found.differences.values() for one in of):
        return None
    what, reference = objective(findings.comparison.beta), shortened(found.reference, NAME_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("class", "images", *(shortened(name, BESIDE_WIDTH) for name in found.differences)):
        table.add_column(Text(name), justify="right", no_wrap=True)
    words = {-1: "better", 0: "open", 1: "worse"}
    signs = {name: found.signs(name) for name in found.differences}
    for i, (label, size) in enumerate(zip(found.labels, found.sizes, strict=True)):
        cells = [f"{_with_reach(of[i])} {words[signs[name][i]]}" for name, of in found.differences.items()]
        table.add_row(str(label), str(size), *map(Text, cells))
    caption = f"{what} minus that of {reference}, ± half its interval; better, worse: by Holm over all shown"
    if min(found.sizes) < FEW:
        caption += f"\nfewer than {FEW} images of a class: its intervals are no more than a guess"
    return Group(table, Text(caption, "dim"))


def _adjusted(asked: Pairs) -> dict[frozenset[str], float]:
    """p of D + beta R by Holm, per pair of names."""
    p = holm(asked.p_values[QUANTITIES.index("weighted")]).tolist()
    return {frozenset(asked.names(at)): p[at] for at in range(len(asked))}


def _outcome(comparison: Comparison, pair: Pair, margin: float | None) -> str:
    if margin is not None:
        found = same(
            comparison.score(pair.a),
            comparison.score(pair.b),
            margin=margin,
            level=comparison.level,
            method=comparison.method,
        )
        return {"equivalent": "same", "different": "other", "undecided": "open"}[found]
    return {-1: "better", 0: "open", 1: "worse"}[pair.together(pair.weighted).sign]


def _with_reach(found: Difference) -> str:
    """ "+0.31 ± 0.05": the mean, and half of its interval."""
    return f"{signed(found.mean)} ± {nats((found.interval.high - found.interval.low) / 2)}"


def _share(found: Difference) -> str:
    return f"{100 * found.wins / found.n:.0f}%"


def _caption(comparison: Comparison, reference: str, margin: float | None) -> str:
    what = objective(comparison.beta)
    kind = ", whenever one stops" if comparison.method == "sequential" else ""
    lines = [
        f"difference to {shortened(reference, NAME_WIDTH)}, nats, ± half its interval{kind}; lower is better",
        f"all intervals hold together with {100 * comparison.level:g}%; better, worse: by that of {what}",
        f"lower on: share of the images on which {what} is lower; p: of {what}, by Holm",
        "open: these images do not tell; more might",
    ]
    if margin is not None:
        lines.append(f"same: R and D both surely within {margin:g} nats; other: one surely is not")
    return "\n".join(lines)
