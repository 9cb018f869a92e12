"""`rdserve health`: what a container's health check and a pod's probes run."""

from typing import Annotated

import typer
from rdserve.cli.connection import Trust
from rdserve.cli.exits import Code
from rdserve.client import RdserveError
from rdserve.client.channel import Security, open_channel
from rdserve.client.health import state
from rdserve.wire.service import SERVICE

SERVING = "SERVING"


def health(
    trust: Trust,
    server: Annotated[str, typer.Option(help="Address of the service, host:port.")] = "localhost:50051",
    model: Annotated[str | None, typer.Option(help="Ask for this model only.")] = None,
    alive: Annotated[bool, typer.Option("--alive", help="Whether it answers, ready or not.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that the answer may take.")] = 5.0,
) -> None:
    """Exit with 0 where the service serves, else with 1 and a line that says why."""
    name = "" if alive else model or SERVICE
    try:
        with open_channel(server, Security(**trust.arguments())) as channel:
            answer = state(channel, name, address=server, timeout=timeout)
    except RdserveError as error:
        answer = f"{type(error).__name__}: {str(error).removeprefix(f'{server}: ')}"
    typer.echo(f"{server} {name}: {answer}".replace("  ", " "))
    if answer != SERVING:
        raise typer.Exit(Code.FAILED)
