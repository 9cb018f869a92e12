"""What a person sees in a terminal: tables that fit 100 columns, progress with the time left."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from threading import Lock
from time import monotonic

from rdserve.client.results import ModelInfo
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render.against import class_table, differences_table
from rdserve.compare.render.formatting import nats, shortened
from rdserve.compare.render.verdict import verdict
from rdserve.compare.statistics.frontier import coordinates, entropy_bound
from rdserve.compare.statistics.latents import LEGEND, MARK
from rdserve.compare.statistics.summaries import ModelSummary
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

# rich takes a pipe for 80 columns wide: too few for the table, and a pipe has no edge.
WIDTH = 100
NAME_WIDTH = 30
# What is done sooner needs no line in a log.
QUIET_SECONDS = 20.0


def console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width, or WIDTH where the output is no terminal."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=WIDTH)


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


class Lines:
    """What a log gets in place of a bar: a line once it takes long, then one for each quarter; five at most.

    now: seconds, of a clock that never goes back.
    """

    def __init__(
        self, title: str, total: int, say: Callable[[str], None], now: Callable[[], float] = monotonic
    ) -> None:
        self._title, self._total, self._say, self._now = title, total, say, now
        self._began, self._done, self._quarter = now(), 0, -1
        self._lock = Lock()

    def __call__(self, done: int) -> None:
        """So many units more are finished."""
        with self._lock:
            self._done += done
            seconds, share = self._now() - self._began, self._done / self._total
            if seconds < QUIET_SECONDS or share >= 1 or int(4 * share) <= self._quarter:
                return
            self._quarter = int(4 * share)
            left = duration(seconds * (1 - share) / share)
            self._say(f"{self._title}: {100 * share:.0f}% done, about {left} left")


def duration(seconds: float) -> str:
    """ "40 s", "5 min" or "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress(title: str, total: int, on: Console) -> Iterator[Callable[[int], None]]:
    """A bar for `total` units of work, or a few `Lines` where there is no terminal; yields the function that
    reports finished ones, from any thread."""
    if not on.is_terminal:
        yield Lines(title, total, lambda line: on.print(Text(line), soft_wrap=True))
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn(
            "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=40)
        ),
        BarColumn(bar_width=None),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("left", table_column=Column(no_wrap=True)),
        console=on,
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
