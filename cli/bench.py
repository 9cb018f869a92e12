"""`rdserve bench`."""

import asyncio
import signal
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rdserve.cli.connection import Trust, connection
from rdserve.cli.private_server import private_service
from rdserve.client import InputError

if TYPE_CHECKING:
    from benchmarks.soak import Memory
    from benchmarks.targets import BenchmarkTarget

_say = partial(typer.echo, err=True)


def bench(
    server: Annotated[
        str | None, typer.Option(help="Measure this service alone; else one of its own, beside TorchServe.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Of the service: these, with commas. All if not given; one with --quick."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File for every cell and ratio.")] = Path(
        "benchmarks/out/latest.json"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds in place of minutes: a smoke test.")
    ] = False,
    sampling: Annotated[
        int | None,
        typer.Option(min=1, help="Only draw pixels and latents, naively and not, on so many threads."),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(min=1, help="Only watch memory over so many requests of a service of its own."),
    ] = None,
) -> None:
    """Measure throughput and latency, and what the front costs beside TorchServe and the bare model."""
    from rdserve.loadtest.meter import Effort
    from rdserve.loadtest.report import show
    from rich.console import Console

    from benchmarks.session import front_only, run_compare

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else what was started would stay behind
    console = Console(width=None if sys.stdout.isatty() else 160)
    if soak is not None:
        _soak(soak)
        return
    if sampling is not None:
        _sampling(sampling, quick)
        return
    effort = Effort(rounds=2, seconds=0.3, patience=2.0, warm_up_seconds=1.0) if quick else Effort()
    found: list[BenchmarkTarget] = []
    if server is not None:
        shapes = _shapes(server, models, quick)
        results = asyncio.run(front_only(server, shapes, effort, _say))
    else:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rdserve-bench-")))
            results, found = run_compare(
                lambda store: stack.enter_context(private_service(store, _say)),
                folder,
                effort,
                _say,
                quick=quick,
            )
    results.write(out)
    show(results, found, console)
    typer.echo(f"every cell and ratio: {out}")


def _shapes(server: str, models: str | None, quick: bool) -> dict[str, tuple[int, int]]:
    """Shape of the images of each model to measure."""
    with connection(server, Trust(), timeout=30.0) as client:
        chosen = [client.model(name) for name in models.split(",")] if models else client.models()
        shapes = {}
        for model in chosen:
            if model.image_shape and not model.fault:
                shapes[model.name] = model.image_shape
            elif models:
                raise InputError(f"model {model.name!r} {model.fault}")
    if quick and not models and len(shapes) > 1:
        first, *others = shapes
        _say(f"measuring {first} alone, the first of {len(others) + 1}; --models names others")
        return {first: shapes[first]}
    return shapes


def _soak(n: int) -> None:
    import psutil

    from benchmarks import subjects
    from benchmarks.soak import soak

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rdserve-bench-")))
        store = subjects.prepare(folder, (subjects.SMALL,)).store
        address = stack.enter_context(private_service(store, _say))
        (front,) = psutil.Process().children()
        shape = subjects.SHAPES[subjects.SMALL]
        memory = asyncio.run(soak(address, front.pid, subjects.SMALL, shape, n, _say))
    _show_memory(memory)


def _show_memory(memory: "Memory") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("process", title=f"Resident memory over {memory.requests[-1]} requests, MiB")
    for heading in ("after warm-up", "at the end", "growth per 10,000 requests"):
        table.add_column(heading, justify="right")
    for name in memory.resident:
        _, resident = memory.settled(name)
        table.add_row(name, f"{resident[0]:.1f}", f"{resident[-1]:.1f}", f"{memory.growth(name):+.2f}")
    Console(width=120).print(table)
    typer.echo(f"{memory.errors} requests failed")


def _sampling(threads: int, quick: bool) -> None:
    from benchmarks.sampling import run

    typer.echo(f"naive over incremental, {threads} thread{'s' if threads > 1 else ''}")
    for it in run(threads=threads, quick=quick):
        ratios = it.ratios
        typer.echo(
            f"{it.what}, batch {it.batch}: multiply-adds {it.naive_multiply_adds:.3g} / "
            f"{it.multiply_adds:.3g} = {ratios['multiply_adds']:.0f}, seconds {it.naive_seconds:.3g} / "
            f"{it.seconds:.3g} = {ratios['seconds']:.0f}; {it.agree} of {it.naive_timed} timed values alike"
        )
