"""A comparison in one paragraph of words: who is better, by how much, for which beta, and what stays open."""

import math
from collections.abc import Sequence

from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.by_class import Classes
from rdserve.compare.analysis.leader import Leader
from rdserve.compare.analysis.levels import has_recipes
from rdserve.compare.analysis.pairs import Pair
from rdserve.compare.analysis.recipe_groups import group
from rdserve.compare.analysis.stopping import StoppingStatus, stopping_status
from rdserve.compare.render.formatting import MOST_NAMED, listed, nats, objective, signed, warned
from rdserve.compare.render.recipe_verdict import of_recipes
from rdserve.compare.statistics.frontier import convex_hull, coordinates
from rdserve.compare.statistics.latents import COLLAPSED_RATE, IGNORES
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.preference import Preference
from rdserve.compare.statistics.summaries import ModelSummary


def verdict(analysis: Analysis, baseline: str | None = None) -> str:
    """Plain text: what `answer` says, which models failed, and all warnings."""
    failures, warnings = analysis.scored.failures, analysis.scored.warnings
    failed = f"No scores came from {listed(list(failures))}." if failures else ""
    return " ".join(filter(None, [answer(analysis, baseline), failed, warned(warnings)]))


def answer(analysis: Analysis, baseline: str | None = None) -> str:
    """Plain text; with probability `level` all of it is true: every sign, interval and range of beta in it.

    baseline: of three models or more, tell which are better and which worse than this one; by recipe, of
    three recipes than its own.
    """
    scored = analysis.scored
    if analysis.recipes and has_recipes(scored):
        return " ".join(of_recipes(analysis.recipes, scored, baseline))
    if len(scored.models) == 1:
        said = [_alone(analysis)]
    elif len(scored.models) == 2:
        said = [*_of_two(analysis, analysis.pairs[0]), *_by_class(analysis)]
    else:
        said = _of_many(analysis) if baseline is None else _against(analysis, baseline)
        said += _collapsed(analysis)
    if len(scored.models) > 1:
        said.append(_of_checkpoints(analysis))
    if scored.method == "sequential":
        said.append(_stopped(stopping_status(analysis, baseline), scored.n_groups))
    return " ".join(said)


def _of_checkpoints(analysis: Analysis) -> str:
    said = "This is of these checkpoints: other runs of their recipes may differ otherwise"
    several = sum(recipe.runs > 1 for recipe in group(analysis.scored.models)) > 1
    return f"{said} (--by recipe compares recipes)." if several else f"{said}."


def _named(analysis: Analysis, name: str) -> str:
    """A model's name, and beside it whether the model ignores its code."""
    row = next(row for row in analysis.rows if row.name == name)
    return f"{name} ({IGNORES}: R {nats(row.rate_nats)})" if row.collapsed else name


def _collapsed(analysis: Analysis) -> list[str]:
    """Of many models, those that ignore their code, and the best that does not."""
    beta, rows = analysis.scored.beta, analysis.rows
    names = [row.name for row in rows if row.collapsed]
    if not names:
        return []
    below = f"R below {COLLAPSED_RATE:g} nats"
    if len(names) == len(rows):
        return [f"All of them ignore their code: {below}."]
    said = [f"{listed(names)} ignore{'s' if len(names) == 1 else ''} the code: {below}."]
    best = min(rows, key=lambda row: row.distortion_nats + beta * row.rate_nats)
    if best.collapsed:
        used = [(row.distortion_nats + beta * row.rate_nats, row.name) for row in rows if not row.collapsed]
        value, name = min(used)
        said.append(f"Of those that use theirs, {name} has the lowest {objective(beta)}, {nats(value)} nats.")
    return said


def _alone(analysis: Analysis) -> str:
    row = analysis.best
    name = _named(analysis, row.name)
    place = f"R = {nats(row.rate_nats)}, D = {nats(row.distortion_nats)}, R + D = {nats(-row.elbo_nats)}"
    return f"{name} alone: {place} nats over {analysis.sample}, and nothing to compare it with."


def _of_two(analysis: Analysis, pair: Pair) -> list[str]:
    """As seen from the better of the two."""
    seen = pair if pair.weighted.mean <= 0 else pair.turned
    rate, distortion = (_change(seen.together(found)) for found in (seen.rate, seen.distortion))
    said = [
        _headline(analysis, seen.a, seen.b, seen.together(seen.weighted)),
        f"Its R is {rate} and its D {distortion}.",
        _along_beta(pair.a, pair.b, pair.preference),
    ]
    if pair.identified is False:
        said.append(
            "The difference in ELBO is smaller than the gap of the bounds, so which model gives the data "
            "more likelihood is not identified."
        )
    return said


def _headline(analysis: Analysis, better: str, worse: str, found: Difference) -> str:
    what, size, reach = objective(analysis.scored.beta), nats(abs(found.mean)), _reach(found)
    first, second = _named(analysis, better), _named(analysis, worse)
    if not found.sign:
        return f"{first} and {second} are not told apart: {what} of {better} is {size} nats lower ({reach})."
    often = f"on {found.wins} of {found.n} images"
    return f"{first} is better than {second}: its {what} is {size} nats lower ({reach}), {often}."


def _reach(found: Difference) -> str:
    """The interval of how much lower the lower one is."""
    low, high = sorted(end if found.mean <= 0 else -end for end in found.interval)
    ends = f"{nats(-high)} to {nats(-low)}" if found.sign else f"{nats(-low)} lower to {nats(high)} higher"
    return f"{100 * found.level:g}% interval {ends}"


def _change(found: Difference) -> str:
    if not found.sign:
        return f"not surely different ({signed(found.mean)} nats)"
    return f"{nats(abs(found.mean))} nats {'higher' if found.mean > 0 else 'lower'}"


def _along_beta(a: str, b: str, found: Preference) -> str:
    names = {"A": a, "B": b}
    sides = [
        f"{names[answer]} is better for {_ranges(ranges)}"
        for answer in ("A", "B")
        if (ranges := found.where(answer))
    ]
    if not sides:
        return "No beta decides between them on these images."
    still_open = found.where("undecided")
    rest = f"; {_ranges(still_open)} is open" if still_open else ""
    return f"By D + beta R, {', '.join(sides)}{rest}."


def _ranges(ranges: Sequence[tuple[float, float]]) -> str:
    return " and ".join(_range(low, high) for low, high in ranges)


def _range(low: float, high: float) -> str:
    if low == 0:
        return "every beta" if math.isinf(high) else f"beta below {high:.3g}"
    return f"beta above {low:.3g}" if math.isinf(high) else f"beta from {low:.3g} to {high:.3g}"


def _of_many(analysis: Analysis) -> list[str]:
    scored, best = analysis.scored, analysis.leader
    count = f"Of {len(scored.models)} models on {analysis.sample}"
    lowest = f"{_named(analysis, best.name)} has the lowest {objective(scored.beta)}, {nats(best.value)} nats"
    said = [f"{count}, {lowest}{_lead(best)}.", *_by_class(analysis)]
    if beaten := list(analysis.dominated_by):
        said.append(f"Surely dominated, as another has both lower R and lower D: {listed(beaten)}.")
    return [*said, *_unidentified(analysis), _best_along_beta(analysis.rows)]


def _unidentified(analysis: Analysis) -> list[str]:
    """Which of the others may give the data as much likelihood as the one of the best ELBO."""
    if not analysis.unidentified:
        return []
    near = f"that of {listed(analysis.unidentified)} by less than the gap of the bounds"
    return [
        f"The ELBO of {analysis.best.name} exceeds {near}: which of these gives the data more likelihood is "
        "not identified."
    ]


def _by_class(analysis: Analysis) -> list[str]:
    return [_in_classes(analysis.classes)] if analysis.classes else []


def _in_classes(found: Classes) -> str:
    """One sentence: of two models, how many classes agree; of more, who beats the reference where."""
    if len(found.differences) > 1:
        return _exceptions(found)
    ((name, differences),) = found.differences.items()
    signs = found.signs(name)
    for_it, against = signs.count(1), [i for i, sign in enumerate(signs) if sign < 0]
    if not for_it and not against:
        return f"None of the {len(signs)} classes tells them apart by itself."
    worse = [f"class {found.labels[i]} ({nats(-differences[i].mean)} nats)" for i in against]
    rest = f", and surely higher on {listed(worse)}" if worse else ""
    return f"Class by class, {found.reference} is surely lower on {for_it} of {len(signs)}{rest}."


def _exceptions(found: Classes) -> str:
    better = {
        name: [str(found.labels[i]) for i, sign in enumerate(found.signs(name)) if sign < 0]
        for name in found.differences
    }
    where = [
        f"{name} on class{'es' if len(of) > 1 else ''} {listed(of)}"
        for name, of in sorted(better.items(), key=lambda one: -len(one[1]))
        if of
    ]
    if not where:
        return f"In none of the {len(found.labels)} classes is another surely lower than {found.reference}."
    return f"Surely lower than {found.reference} within a class: {listed(where)}."


def _lead(best: Leader) -> str:
    """Against which others the lead is sure."""
    if not best.rivals:
        name, found = next(iter(best.behind.items()))
        return f", surely lower than all others: next is {name}, {nats(found.mean)} higher ({_reach(found)})"
    surely = len(best.behind) - len(best.rivals)
    than = f", surely lower than {surely} of the others" if surely else ""
    return f"{than}, but not told apart from {listed(best.rivals)}"


def _against(analysis: Analysis, baseline: str) -> list[str]:
    """Each other model by its paired difference to the baseline; all of it holds together."""
    names = {-1: "surely better", 1: "surely worse", 0: "not told apart"}
    sides: dict[str, list[str]] = {side: [] for side in names.values()}
    for pair in analysis.asked(baseline):
        sides[names[pair.together(pair.weighted).sign]].append(pair.a)
    parts = [
        f"{side} {'is' if len(names) == 1 else 'are'} {listed(names)}"
        for side, names in sides.items()
        if names
    ]
    start = f"Against {baseline}, by {objective(analysis.scored.beta)} on {analysis.sample}"
    return [f"{start}: {'; '.join(parts)}."]


def _best_along_beta(rows: Sequence[ModelSummary]) -> str:
    """Whose mean is the least for which beta: the corners of the hull, and its slopes between them."""
    points = coordinates(rows)
    hull = convex_hull(points)
    names = [
        next(row.name for row, at in zip(rows, points, strict=True) if (at == corner).all())
        for corner in hull
    ]
    slopes = [-(d[1] / d[0]) for d in hull[1:] - hull[:-1]]
    edges = [math.inf, *map(float, slopes), 0.0]
    parts = [f"{name} for {_range(edges[i + 1], edges[i])}" for i, name in enumerate(names)]
    if len(parts) > MOST_NAMED + 1:
        parts = [parts[0], f"{len(parts) - 2} others in between", parts[-1]]
    return f"By the means, the least D + beta R is that of {listed(parts, len(parts))}."


def _of_groups(groups: int | None) -> str:
    return "" if groups is None else f" of {groups} groups"


def _stopped(status: StoppingStatus, groups: int | None) -> str:
    """What is open, and what it would take."""
    if status.settled:
        return f"Settled after {status.n} images{_of_groups(groups)}."
    pairs = ", ".join(f"{a} against {b}" for a, b in status.open[:3])
    rest = f" and {len(status.open) - 3} more" if len(status.open) > 3 else ""
    return f"Open after {status.n} images{_of_groups(groups)}: {pairs}{rest}; {_price(status.more_needed)}."


def _price(more: int | None) -> str:
    if more is None:
        return "no number of images would settle it if the means stay"
    return f"some {more} more would settle it if means and deviations stay"
