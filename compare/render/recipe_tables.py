"""Recipes in a terminal: where each stands over its runs, and its differences to another."""

import math

from rdserve.compare.analysis.recipes import RecipeDifference, Recipes, RecipeSummary
from rdserve.compare.analysis.sample import sample
from rdserve.compare.render.formatting import nats, objective, p_value, shortened, signed, with_error
from rdserve.compare.scores import ScoreSet
from rich.table import Table
from rich.text import Text

NAME_WIDTH, REFERENCE_WIDTH = 24, 18


def recipes_table(found: Recipes, scored: ScoreSet) -> Table:
    """R, D and R + D over runs and images, and how far runs lie apart; the best in bold."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column("recipe", no_wrap=True)
    table.add_column("runs", justify="right")
    for name in ("R", "D", "R + D", "runs apart"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row), style="bold" if row is found.best else "")
    table.caption = (
        f"nats: mean ± standard error over runs and {sample(scored)}\n"
        "runs apart: standard deviation of R + D from run to run, images aside"
    )
    return table


def _cells(row: RecipeSummary) -> list[Text]:
    values = (
        shortened(row.recipe.name, NAME_WIDTH),
        str(row.recipe.runs),
        *(with_error(*mean) for mean in (row.rate, row.distortion, row.total)),
        nats(row.between_runs[2]),
    )
    return [Text(value) for value in values]


def recipe_differences_table(found: Recipes, scored: ScoreSet, baseline: str | None = None) -> Table:
    """Each other recipe minus that of the baseline, a model's name, or minus the best one."""
    reference, what = found.of(baseline) if baseline else found.best.recipe.name, objective(scored.beta)
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column(Text(f"minus {shortened(reference, REFERENCE_WIDTH)}"), no_wrap=True)
    for name in ("R", "D", what, "df", "p", ""):
        table.add_column(name, justify="right", no_wrap=True)
    words = {-1: "better", 0: "open", 1: "worse"}
    pairs = {pair.a: pair for pair in found.against(reference)}
    for name in found.names:
        if pair := pairs.get(name):
            cells = [_with_reach(of) for of in (pair.rate, pair.distortion, pair.weighted)]
            freedom, p = nats(pair.weighted.degrees_of_freedom, 1), p_value(pair.adjusted_p)
            outcome = words[pair.weighted.sign] if pair.told else "one run"
            table.add_row(*map(Text, (shortened(name, NAME_WIDTH), *cells, freedom, p, outcome)))
    table.caption = (
        "difference over runs and images, nats, ± half its interval; lower is better\n"
        f"all intervals hold together with {100 * scored.level:g}%; better, worse: by that of {what}\n"
        f"df: its degrees of freedom; p: of {what}, by Holm; open: more runs or images might tell"
    )
    return table


def _with_reach(found: RecipeDifference) -> str:
    half = (found.together.high - found.together.low) / 2
    return signed(found.mean) + (f" ± {nats(half)}" if math.isfinite(found.standard_error) else "")
