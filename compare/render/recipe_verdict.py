"""What a verdict says of recipes: which is better over all their runs, and of which one run is known."""

from collections.abc import Sequence

from rdserve.compare.analysis.recipes import RecipeDifference, RecipePair, Recipes, RecipeSummary
from rdserve.compare.analysis.sample import sample
from rdserve.compare.render.formatting import listed, nats, objective, signed
from rdserve.compare.scores import ScoreSet


def of_recipes(found: Recipes, scored: ScoreSet, baseline: str | None = None) -> list[str]:
    """Sentences; all of them hold together. baseline: a model, whose recipe the others are compared with.

    Of recipes with intervals: two or more have two runs or more.
    """
    told = [row for row in found.rows if row.recipe.runs > 1]
    if len(told) == 2:
        said = _of_two(found, found.told[0], scored)
    else:
        said = _of_many(found, told, scored, baseline)
    said.append("This is of the recipes, over runs and images like these.")
    if len(found.single) == 1:
        said.append(f"{found.single[0]} has one run: what is said of it is of this checkpoint.")
    elif found.single:
        said.append(f"{listed(found.single)} have one run: what is said of them is of these checkpoints.")
    return said


def _of_two(found: Recipes, pair: RecipePair, scored: ScoreSet) -> list[str]:
    """As seen from the better of the two."""
    seen, what = pair if pair.weighted.mean <= 0 else pair.turned, objective(scored.beta)
    first, second = (_with_runs(found, name) for name in (seen.a, seen.b))
    size, reach = nats(abs(seen.weighted.mean)), _reach(seen.weighted, scored.level)
    if seen.weighted.sign:
        headline = (
            f"Recipe {first} is better than {second}: over runs and images its {what} is {size} nats lower "
            f"({reach})."
        )
    else:
        headline = (
            f"Recipes {first} and {second} are not told apart: over runs and images {what} of {seen.a} is "
            f"{size} nats lower ({reach})."
        )
    parts = (
        f"{nats(seen.weighted.from_runs)} nats from runs and {nats(seen.weighted.from_images)} from images"
    )
    return [
        headline,
        f"Its R is {_change(seen.rate)} and its D {_change(seen.distortion)}.",
        f"The standard error is {parts}.",
    ]


def _of_many(
    found: Recipes, told: Sequence[RecipeSummary], scored: ScoreSet, baseline: str | None
) -> list[str]:
    what, runs = objective(scored.beta), sum(row.recipe.runs for row in told)
    over = f"{len(told)} recipes with {runs} runs on {sample(scored)}"
    reference = found.of(baseline) if baseline else found.best.recipe.name
    names = {-1: "surely better", 1: "surely worse", 0: "not told apart"}
    sides: dict[str, list[str]] = {side: [] for side in names.values()}
    for pair in found.against(reference):
        if pair.told:
            sides[names[pair.weighted.sign]].append(pair.a)
    parts = [f"{side} {'is' if len(of) == 1 else 'are'} {listed(of)}" for side, of in sides.items() if of]
    compared = "; ".join(parts) or "nothing is told, as it has one run"
    if baseline:
        return [f"Of {over}, against {reference}, by {what}: {compared}."]
    value = nats(found.best.weighted.value)
    return [f"Of {over}, {reference} has the lowest {what}, {value} nats; against it, {compared}."]


def _with_runs(found: Recipes, name: str) -> str:
    runs = next(row.recipe.runs for row in found.rows if row.recipe.name == name)
    return f"{name} ({runs} runs)"


def _reach(found: RecipeDifference, level: float) -> str:
    """The interval of how much lower the lower one is."""
    low, high = found.together
    ends = f"{nats(-high)} to {nats(-low)}" if found.sign else f"{nats(-low)} lower to {nats(high)} higher"
    return f"{100 * level:g}% interval {ends}, {found.degrees_of_freedom:.1f} degrees of freedom"


def _change(found: RecipeDifference) -> str:
    if not found.sign:
        return f"not surely different ({signed(found.mean)} nats)"
    return f"{nats(abs(found.mean))} nats {'higher' if found.mean > 0 else 'lower'}"
