"""The results as tables on a terminal."""

from collections.abc import Iterator
from statistics import median

from rdserve.loadtest.results import FRONT, Cell, Results, cpu_ms
from rich.console import Console
from rich.table import Table


def show(results: Results, console: Console) -> None:
    """Every cell of the front, then the ways side by side."""
    console.print(_grid(results))
    for cell in dict.fromkeys(cell for cell, _ in results.visits):
        if sum(at == cell for at, _ in results.visits) > 1:
            console.print(_ways(results, cell))
    for cell, why in results.skipped.items():
        console.print(f"skipped {cell.name}: {why}")


def _grid(results: Results) -> Table:
    table = Table("model", "op", "images", "load", title="The front")
    for heading in ("requests/s", "images/s", "p50 ms", "p99 ms", "errors"):
        table.add_column(heading, justify="right")
    for cell, way in results.visits:
        if way == FRONT:
            table.add_row(cell.model, cell.op, str(cell.rows), _load(cell), *_figures(results, cell, way))
    return table


def _ways(results: Results, cell: Cell) -> Table:
    table = Table("way", title=f"{cell.name}" + ("" if cell.in_flight else f" at {cell.rate:.0f}/s"))
    for heading in ("requests/s", "images/s", "p50 ms", "p99 ms", "errors", "front / this, rps", "p50"):
        table.add_column(heading, justify="right")
    table.add_column("CPU ms per request")
    for at, way in results.visits:
        if at == cell:
            figures = _figures(results, cell, way)
            ratios = f"{results.speed(cell, way):.2f}", f"{results.delay(cell, way):.2f}"
            costs = ", ".join(f"{role} {ms:.2f}" for role, ms in cpu_ms(results.of(cell, way)).items())
            table.add_row(way, *figures, *ratios, costs)
    return table


def _figures(results: Results, cell: Cell, way: str) -> Iterator[str]:
    visits = results.of(cell, way)
    rps = results.rps(cell, way)
    yield f"{rps:.1f}"
    yield f"{rps * cell.rows:.0f}"
    yield f"{median(visit.percentile(50) for visit in visits):.2f}"
    yield f"{median(visit.percentile(99) for visit in visits):.2f}"
    yield str(sum(sum(visit.errors.values()) for visit in visits))


def _load(cell: Cell) -> str:
    return f"{cell.in_flight} in flight" if cell.in_flight else f"{cell.rate:.0f}/s arriving"
