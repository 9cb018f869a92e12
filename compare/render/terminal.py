"""What a person sees in a terminal: tables that fit 100 columns."""

import math
from collections.abc import Mapping, Sequence
from io import StringIO

from rdserve.client.results import ModelInfo
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.levels import has_recipes
from rdserve.compare.analysis.pairs import Pair
from rdserve.compare.render.formatting import beta_of, nats, objective, p_value, shortened, signed, with_error
from rdserve.compare.render.recipe_tables import recipe_differences_table, recipes_table
from rdserve.compare.render.verdict import verdict
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.bound_gap import FEW_EFFECTIVE, Tightness
from rdserve.compare.statistics.equivalence import same
from rdserve.compare.statistics.frontier import coordinates, entropy_bound
from rdserve.compare.statistics.intervals import FEW
from rdserve.compare.statistics.latents import LEGEND, MARK
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.summaries import ModelSummary
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

# rich takes a pipe for 80 columns wide: too few for the table, and a pipe has no edge.
WIDTH = 100
NAME_WIDTH, REFERENCE_WIDTH = 30, 24
# Beside a gap that hangs on single draws.
HANGS = "!"
# What fits 100 columns, and a screen.
MOST_BESIDE, BESIDE_WIDTH, MOST_CLASSES = 3, 24, 20


def comparison_table(
    rows: Sequence[ModelSummary], sample: str = "", gaps: Mapping[str, Tightness] | None = None
) -> Table:
    """R, D and -ELBO with standard errors, along the frontier; the best -ELBO in bold.

    sample: what the errors are over, in words; the rows' images unless told.
    gaps: by model, how far its ELBO falls short of log p(x) at least; none for one sample per image.
    """
    best = entropy_bound(coordinates(rows))
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column("model", no_wrap=True)
    table.add_column("tuple", no_wrap=True)
    table.add_column("beta", justify="right")
    for name in ("R", "D", "-ELBO"):
        table.add_column(f"{name} (nats)", justify="right", no_wrap=True)
    if gaps:
        table.add_column("gap", justify="right", no_wrap=True)
    table.add_column("●", justify="center")
    for row in rows:
        gap = [_gap(gaps[row.name])] if gaps else []
        style = "bold" if -row.elbo_nats <= best else ""
        table.add_row(*_cells(row), *gap, Text("●" if row.on_frontier else ""), style=style)
    table.caption = (
        f"mean ± standard error over {sample or f'{rows[0].n} images'}; -ELBO = R + D, its best in bold\n"
        "● on the frontier: no model has both R and D lower"
    )
    if gaps:
        table.caption += f"\n{_about_gaps(gaps)}"
    if any(row.collapsed for row in rows):
        table.caption += f"\n{LEGEND}"
    return table


def _cells(row: ModelSummary) -> list[Text]:
    mark = f" {MARK}" if row.collapsed else ""
    values = (
        shortened(row.name, NAME_WIDTH - len(mark)) + mark,
        row.family,
        beta_of(row),
        with_error(row.rate_nats, row.rate_standard_error_nats),
        with_error(row.distortion_nats, row.distortion_standard_error_nats),
        with_error(-row.elbo_nats, row.elbo_standard_error_nats),
    )
    return [Text(value) for value in values]


def _gap(of: Tightness) -> Text:
    return Text(nats(of.gap.value) + (HANGS if of.hangs else " "))


def _about_gaps(gaps: Mapping[str, Tightness]) -> str:
    """What the column is, and which bounds hang on single draws."""
    k = next(iter(gaps.values())).n_samples
    said = f"gap: log p(x) lies at least so far above the ELBO, by the bound of {k} samples"
    if any(of.hangs for of in gaps.values()):
        few = f"fewer than {FEW_EFFECTIVE:g} of these are effective on most images"
        said += f"\n{HANGS} {few}; more of --n-samples would widen it"
    return said


def models_table(models: Sequence[ModelInfo]) -> Table:
    """What a server holds: cards, states, and where the trainer found each model."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    table.add_column("tuple", no_wrap=True)
    for name in ("beta", "images", "latent"):
        table.add_column(name, justify="right")
    table.add_column("data", no_wrap=True)
    table.add_column("R", justify="right")
    table.add_column("D", justify="right")
    table.add_column("state")
    for model in models:
        found, known = model.reference, model.latent_dim > 0
        values = (
            model.name,
            model.family,
            beta_of(model) if known else "",
            model.image_size,
            str(model.latent_dim) if known else "",
            model.data_name,
            f"{found.rate_nats:z.2f}" if found else "",
            f"{found.distortion_nats:.2f}" if found else "",
            f"{model.state}{f': {model.state_reason}' if model.state_reason else ''}".lower(),
        )
        table.add_row(*map(Text, values))
    table.caption = "R, D: the trainer's own figures, nats per image on its test split"
    return table


def differences_table(
    analysis: Analysis, *, baseline: str | None = None, equivalence_margin: float | None = None
) -> Table:
    """Paired differences to the baseline, or to the model of the least D + beta R; of two models or more.

    equivalence_margin: says "same" of models whose R and D both lie within so many nats of the baseline's.
    """
    scored, reference = analysis.scored, baseline or analysis.leader.name
    # Which model leads is seen from the data: its pairs hold together with all others.
    asked = analysis.asked(baseline)
    adjusted = {frozenset(asked.names(at)): p for at, p in enumerate(asked.adjusted_weighted_p.tolist())}
    what = objective(scored.beta)
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column(f"minus {shortened(reference, REFERENCE_WIDTH - 6)}", no_wrap=True)
    for name in ("R", "D", what, "lower on", "p", ""):
        table.add_column(name, justify="right", no_wrap=True)
    by_name = {pair.a: pair for pair in asked.against(reference)}
    for row in analysis.rows:
        if pair := by_name.get(row.name):
            name, p = shortened(row.name, REFERENCE_WIDTH), adjusted[frozenset((row.name, reference))]
            outcome = _outcome(scored, pair, equivalence_margin)
            values = [_with_reach(pair.together(d)) for d in (pair.rate, pair.distortion, pair.weighted)]
            table.add_row(*map(Text, (name, *values, _share(pair.weighted), p_value(p), outcome)))
    table.caption = _caption(scored, reference, equivalence_margin)
    return table


def class_table(analysis: Analysis, baseline: str | None = None) -> Group | None:
    """Class by class against the baseline, or the model of the least D + beta R; None where there are no
    classes, or too many of them or of models."""
    found = analysis.classes_against(baseline) if baseline else analysis.classes
    if found is None or len(found.differences) > MOST_BESIDE or len(found.labels) > MOST_CLASSES:
        return None
    if not any(math.isfinite(one.interval.low) for of in found.differences.values() for one in of):
        return None
    what, reference = objective(analysis.scored.beta), shortened(found.reference, REFERENCE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("class", "images", *(shortened(name, BESIDE_WIDTH) for name in found.differences)):
        table.add_column(Text(name), justify="right", no_wrap=True)
    words = {-1: "better", 0: "open", 1: "worse"}
    signs = {name: found.signs(name) for name in found.differences}
    for i, (label, size) in enumerate(zip(found.labels, found.sizes, strict=True)):
        cells = [f"{_with_reach(of[i])} {words[signs[name][i]]}" for name, of in found.differences.items()]
        table.add_row(str(label), str(size), *map(Text, cells))
    caption = f"{what} minus that of {reference}, ± half its interval; better, worse: by Holm over all shown"
    if min(found.independent) < FEW:
        what = "images" if analysis.scored.n_groups is None else "groups"
        caption += f"\nfewer than {FEW} {what} of a class: its intervals are no more than a guess"
    return Group(table, Text(caption, "dim"))


def _outcome(scored: ScoreSet, pair: Pair, margin: float | None) -> str:
    if margin is not None:
        found = same(
            scored.score(pair.a),
            scored.score(pair.b),
            margin=margin,
            level=scored.level,
            method=scored.method,
            groups=scored.group_ids,
        )
        return {"equivalent": "same", "different": "other", "undecided": "open"}[found]
    return {-1: "better", 0: "open", 1: "worse"}[pair.together(pair.weighted).sign]


def _with_reach(found: Difference) -> str:
    """ "+0.31 ± 0.05": the mean, and half of its interval."""
    return f"{signed(found.mean)} ± {nats((found.interval.high - found.interval.low) / 2)}"


def _share(found: Difference) -> str:
    return f"{100 * found.wins / found.n:.0f}%"


def _caption(scored: ScoreSet, reference: str, margin: float | None) -> str:
    what, short = objective(scored.beta), shortened(reference, REFERENCE_WIDTH)
    kind = ", whenever one stops" if scored.method == "sequential" else ""
    lines = [
        f"difference to {short}, nats, ± half its interval{kind}; lower is better",
        f"all intervals hold together with {100 * scored.level:g}%; better, worse: by that of {what}",
        f"lower on: share of the images on which {what} is lower; p: of {what}, by Holm",
        "open: these images do not tell; more might",
    ]
    if margin is not None:
        lines.append(f"same: R and D both surely within {margin:g} nats; other: one surely is not")
    return "\n".join(lines)


def show(
    analysis: Analysis,
    on: Console,
    *,
    baseline: str | None = None,
    equivalence_margin: float | None = None,
) -> None:
    """The models, their differences to the baseline or to the best, and the verdict in words.

    By recipe, the recipes and their differences in place of those of the models.
    """
    on.print(comparison_table(analysis.rows, analysis.sample, analysis.tightness))
    for table in _differences(analysis, baseline, equivalence_margin):
        on.print()
        on.print(table)
    on.print()
    on.print(Text(verdict(analysis, baseline)), width=min(on.width, WIDTH))


def _differences(
    analysis: Analysis, baseline: str | None, equivalence_margin: float | None
) -> list[Table | Group]:
    scored, found = analysis.scored, analysis.recipes
    if found and has_recipes(scored):
        return [recipes_table(found, scored), recipe_differences_table(found, scored, baseline)]
    if len(analysis.rows) < 2:
        return []
    differences = differences_table(analysis, baseline=baseline, equivalence_margin=equivalence_margin)
    classes = class_table(analysis, baseline)
    return [differences, classes] if classes else [differences]


def as_text(analysis: Analysis, width: int = WIDTH) -> str:
    """What `show` prints, without colours."""
    file = StringIO()
    show(analysis, Console(file=file, width=width, color_system=None))
    return file.getvalue()
