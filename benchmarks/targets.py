"""What is asked of the front, as ratios: on a shared machine nothing else means anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from rdserve.loadtest.results import Cell, Results
from rich.table import Table

IN_PROCESS, NATIVE, UNMERGED = "in-process", "native", "HTTP unmerged"
# Arrays in and out of `AsyncClient`: each call by itself, or merged with those under way.
CLIENT, MERGED = "client", "client, merged"


@dataclass(frozen=True)
class BenchmarkTarget:
    """A ratio, and the bound that it should keep."""

    name: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the bound is kept."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def best_batched(results: Results, cell: Cell) -> str | None:
    """The batching of TorchServe's own that measured best here."""
    ways = [way for at, way in results.visits if at == cell and way.startswith(NATIVE) and way != NATIVE]
    return max(ways, key=lambda way: results.rps(cell, way), default=None)


def targets(results: Results, small: str, paper: str, scoring: dict[str, float]) -> list[BenchmarkTarget]:
    """Those that were measured. Ratios are medians over rounds of the front's figure over the other's."""
    found = [target for model in (small, paper) for target in _of_one_image(results, model)]
    found += _of_the_client(results, small)
    many = Cell(small, "encode", 64, in_flight=32)
    if (best := best_batched(results, many)) is not None:
        found.append(
            BenchmarkTarget(f"{many.name}: rps over native, its own batching", results.speed(many, best), 1.0)
        )
    many = Cell(paper, "encode", 64, in_flight=32)
    if results.of(many, IN_PROCESS):
        found.append(
            BenchmarkTarget(f"{many.name}: images/s over in-process", results.speed(many, IN_PROCESS), 0.9)
        )
    if scoring:
        found.append(
            BenchmarkTarget(
                f"{paper} score of a set through the client: over in-process", scoring["ratio"], 0.9
            )
        )
    return found


def _of_the_client(results: Results, model: str) -> list[BenchmarkTarget]:
    """A client that merges its calls, beside TorchServe's own batching; for one caller beside a plain one."""
    found = []
    for in_flight, dearer in ((32, 1.0), (8, 1.1)):
        cell = Cell(model, "encode", 1, in_flight=in_flight)
        if (best := best_batched(results, cell)) is None or not results.of(cell, MERGED):
            continue
        said = f"{cell.name}: {MERGED}: "
        found += [
            BenchmarkTarget(f"{said}rps over native batched", results.speed(cell, best, MERGED), 1.0),
            BenchmarkTarget(
                f"{said}CPU over native batched", results.cost(cell, best, MERGED), dearer, at_most=True
            ),
        ]
    alone = Cell(model, "encode", 1, in_flight=1)
    if results.of(alone, MERGED):
        delay, cost = (ratio(alone, CLIENT, MERGED) for ratio in (results.delay, results.cost))
        said = f"{alone.name}: {MERGED}: "
        found += [
            BenchmarkTarget(f"{said}p50 over unmerged", delay, 1.03, at_most=True),
            BenchmarkTarget(f"{said}CPU over unmerged", cost, 1.03, at_most=True),
        ]
    return found


def _of_one_image(results: Results, model: str) -> list[BenchmarkTarget]:
    found = []
    alone, crowd = Cell(model, "encode", 1, in_flight=1), Cell(model, "encode", 1, in_flight=32)
    if (best := best_batched(results, crowd)) is not None:
        found += [
            BenchmarkTarget(
                f"{crowd.name}: rps over native, its own batching", results.speed(crowd, best), 1.0
            ),
            BenchmarkTarget(f"{crowd.name}: rps over native, unbatched", results.speed(crowd, NATIVE), 2.5),
        ]
    if results.of(alone, NATIVE):
        found.append(
            BenchmarkTarget(f"{alone.name}: p50 over native", results.delay(alone, NATIVE), 1.4, at_most=True)
        )
    return found


def as_table(targets: Sequence[BenchmarkTarget]) -> Table:
    """For a terminal."""
    table = Table("ratio", title="Targets")
    for heading in ("measured", "asked", ""):
        table.add_column(heading, justify="right")
    for target in targets:
        asked = f"{'at most' if target.at_most else 'at least'} {target.bound}"
        table.add_row(target.name, f"{target.value:.2f}", asked, "reached" if target.reached else "MISSED")
    return table
