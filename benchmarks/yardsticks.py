"""What `rdserve bench` measures of services of its own. It is found where this folder is."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
from rdserve.loadtest.meter import Announce, Effort
from rdserve.loadtest.report import show
from rdserve.loadtest.results import Results
from rich.console import Console
from rich.table import Table

from benchmarks import sampling as drawing
from benchmarks import subjects
from benchmarks.session import run_compare
from benchmarks.soak import Memory
from benchmarks.soak import soak as watch
from benchmarks.targets import BenchmarkTarget

# Starts a service over a folder of models, and ends it.
Serve = Callable[[Path, Announce], AbstractContextManager[str]]


def compared(serve: Serve, effort: Effort, announce: Announce, console: Console, *, quick: bool) -> Results:
    """A service beside TorchServe alone and the bare model, shown with the targets."""
    with ExitStack() as stack, _folder() as folder:
        results, targets = run_compare(
            lambda store: stack.enter_context(serve(store, announce)), folder, effort, announce, quick=quick
        )
    show(results, console)
    console.print(_table(targets))
    return results


def soak(serve: Serve, n: int, announce: Announce, console: Console) -> None:
    """Memory of a service over n requests."""
    with _folder() as folder:
        store = subjects.prepare(folder, (subjects.SMALL,)).store
        with serve(store, announce) as address:
            (front,) = psutil.Process().children()
            shape = subjects.SHAPES[subjects.SMALL]
            memory = asyncio.run(watch(address, front.pid, subjects.SMALL, shape, n, announce))
    console.print(_memory(memory))
    console.print(f"{memory.errors} requests failed", highlight=False)


def sampling(threads: int, console: Console, *, quick: bool) -> None:
    """What drawing costs naively, over what it costs."""
    console.print(f"naive over incremental, {threads} thread{'s' if threads > 1 else ''}", highlight=False)
    for it in drawing.run(threads=threads, quick=quick):
        ratios = it.ratios
        console.print(
            f"{it.what}, batch {it.batch}: multiply-adds {it.naive_multiply_adds:.3g} / "
            f"{it.multiply_adds:.3g} = {ratios['multiply_adds']:.0f}, seconds {it.naive_seconds:.3g} / "
            f"{it.seconds:.3g} = {ratios['seconds']:.0f}; {it.agree} of {it.naive_timed} timed values alike",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rdserve-bench-") as folder:
        yield Path(folder)


def _memory(memory: Memory) -> Table:
    table = Table("process", title=f"Resident memory over {memory.requests[-1]} requests, MiB")
    for heading in ("after warm-up", "at the end", "growth per 10,000 requests"):
        table.add_column(heading, justify="right")
    for name in memory.resident:
        _, resident = memory.settled(name)
        table.add_row(name, f"{resident[0]:.1f}", f"{resident[-1]:.1f}", f"{memory.growth(name):+.2f}")
    return table


def _table(targets: Sequence[BenchmarkTarget]) -> Table:
    table = Table("ratio", title="Targets")
    for heading in ("measured", "asked", ""):
        table.add_column(heading, justify="right")
    for target in targets:
        asked = f"{'at most' if target.at_most else 'at least'} {target.bound}"
        table.add_row(target.name, f"{target.value:.2f}", asked, "reached" if target.reached else "MISSED")
    return table
