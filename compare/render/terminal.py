"""What a person sees in a terminal: tables that fit 100 columns."""

import math
from collections.abc import Sequence
from io import StringIO

from rdserve.client.results import ModelInfo
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render.against import class_table, differences_table
from rdserve.compare.render.formatting import nats, shortened
from rdserve.compare.render.verdict import verdict
from rdserve.compare.statistics.frontier import coordinates, entropy_bound
from rdserve.compare.statistics.latents import LEGEND, MARK
from rdserve.compare.statistics.summaries import ModelSummary
from rich.console import Console
from rich.table import Table
from rich.text import Text

# rich takes a pipe for 80 columns wide: too few for the table, and a pipe has no edge.
WIDTH = 100
NAME_WIDTH = 30


def comparison_table(rows: Sequence[ModelSummary]) -> Table:
    """R, D and -ELBO with standard errors, along the frontier; the best -ELBO in bold."""
    best = entropy_bound(coordinates(rows))
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="dim")
    table.add_column("model", no_wrap=True)
    table.add_column("tuple", no_wrap=True)
    table.add_column("beta", justify="right")
    for name in ("R", "D", "-ELBO"):
        table.add_column(f"{name} (nats)", justify="right", no_wrap=True)
    table.add_column("frontier", justify="center")
    for row in rows:
        table.add_row(*_cells(row), style="bold" if -row.elbo_nats <= best else "")
    table.caption = (
        f"mean ± standard error over {rows[0].n} images; -ELBO = R + D, its best in bold\n"
        "frontier: ● no model has both R and D lower"
    )
    if any(row.collapsed for row in rows):
        table.caption += f"\n{LEGEND}"
    return table


def _cells(row: ModelSummary) -> list[Text]:
    mark = f" {MARK}" if row.collapsed else ""
    values = (
        shortened(row.name, NAME_WIDTH - len(mark)) + mark,
        row.family,
        f"{row.beta:g}",
        with_error(row.rate_nats, row.rate_standard_error_nats),
        with_error(row.distortion_nats, row.distortion_standard_error_nats),
        with_error(-row.elbo_nats, row.elbo_standard_error_nats),
        "●" if row.on_frontier else "",
    )
    return [Text(value) for value in values]


def with_error(value: float, error: float) -> str:
    """A mean and its standard error: "20.14 ± 0.31"."""
    return nats(value) + ("" if math.isnan(error) else f" ± {nats(error)}")


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
        found, known = model.reference, model.image_shape is not None
        values = (
            model.name,
            model.family,
            f"{model.beta:g}" if known else "",
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


def show(
    findings: Analysis,
    on: Console,
    *,
    baseline: str | None = None,
    equivalence_margin: float | None = None,
) -> None:
    """The models, their differences to the baseline or to the best, and the verdict in words."""
    on.print(comparison_table(findings.scene.rows))
    if len(findings.scene.rows) > 1:
        on.print()
        on.print(differences_table(findings, baseline=baseline, equivalence_margin=equivalence_margin))
    if by_class := class_table(findings, baseline):
        on.print()
        on.print(by_class)
    on.print()
    on.print(Text(verdict(findings, baseline)), width=min(on.width, WIDTH))


def as_text(findings: Analysis, width: int = WIDTH) -> str:
    """What `show` prints, without colours."""
    file = StringIO()
    show(findings, Console(file=file, width=width, color_system=None))
    return file.getvalue()
