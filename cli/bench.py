"""`rdserve bench`."""

import asyncio
import signal
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rdserve.cli.connection import Trust, connection
from rdserve.cli.private_server import private_service
from rdserve.client import InputError
from rdserve.loadtest.front import front_only
from rdserve.loadtest.meter import Effort
from rdserve.loadtest.report import show
from rich.console import Console

_say = partial(typer.echo, err=True)


def bench(
    server: Annotated[
        str | None, typer.Option(help="Measure this service alone; else one of its own, beside TorchServe.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Of the service: these, with commas. All if not given; one with --quick."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File for every cell and ratio.")] = Path("report/bench.json"),
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else what was started would stay behind
    console = Console(width=None if sys.stdout.isatty() else 160)
    if soak is not None:
        _yardsticks().soak(private_service, soak, _say, console)
        return
    if sampling is not None:
        _yardsticks().sampling(sampling, console, quick=quick)
        return
    effort = Effort(rounds=2, seconds=0.3, patience=2.0, warm_up_seconds=1.0) if quick else Effort()
    if server is not None:
        results = asyncio.run(front_only(server, _shapes(server, models, quick), effort, _say))
        show(results, console)
    else:
        results = _yardsticks().compared(private_service, effort, _say, console, quick=quick)
    results.write(out)
    typer.echo(f"every cell and ratio: {out}")


def _yardsticks() -> Any:
    """`benchmarks.yardsticks`, which is in the repository alone.

    Raises:
        typer.BadParameter: the command is not run there.
    """
    sys.path.append("")
    if find_spec("benchmarks") is None or find_spec("benchmarks.yardsticks") is None:
        raise typer.BadParameter(
            "without --server it is run in a clone of the repository, which has the yardsticks in benchmarks/"
        )
    return import_module("benchmarks.yardsticks")


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
