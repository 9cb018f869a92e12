"""`rdserve bench`: load on a service. What it costs beside TorchServe alone is for `python -m benchmarks`."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli.connection import Trust, connection
from rdserve.client import InputError
from rdserve.client.channel import Security, credentials
from rdserve.loadtest.meter import QUICK, Effort
from rdserve.loadtest.report import show
from rdserve.loadtest.routes import Front
from rdserve.loadtest.run import front_only
from rich.console import Console

_say = partial(typer.echo, err=True)


def bench(
    trust: Trust,
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
    if server and not soak and not sampling:
        _measure(server, trust, models, out, quick)
    else:
        given = {"--out": out, "--sampling": sampling, "--soak": soak}
        options = [str(word) for option in given.items() if option[1] for word in option]
        _yardsticks([*options, *(["--quick"] if quick else [])])


def _yardsticks(options: list[str]) -> None:
    """Go on as `python -m benchmarks`, which the repository alone has."""
    if not Path("benchmarks/__main__.py").is_file():
        raise typer.BadParameter(
            "give the service to measure; what a service costs beside TorchServe alone and the bare model, "
            "--soak and --sampling are measured in a clone of the repository: `make bench` there",
            param_hint="--server",
        )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *options])


def _measure(server: str, trust: Trust, models: str | None, out: Path, quick: bool) -> None:
    shapes = _shapes(server, trust, models, quick)
    security = Security(**trust.arguments())
    tls = credentials(security) if security.tls else None
    front = partial(Front, server, tls, security.metadata)
    results = asyncio.run(front_only(front, shapes, QUICK if quick else Effort(), _say))
    results.write(out)
    show(results, Console(width=None if sys.stdout.isatty() else 160))
    typer.echo(f"every cell and ratio: {out}")


def _shapes(server: str, trust: Trust, models: str | None, quick: bool) -> dict[str, tuple[int, int]]:
    """Shape of the images of each model to measure."""
    with connection(server, trust, timeout=30.0) as client:
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
