"""`rdserve package`."""

from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli.connection import failures_told
from rdserve.cli.options import Data, DataRoot

# Nats by which another build of torch may move a mean or a quantile.
TOLERANCE = 1e-3


def package(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoint folders.")],
    store: Annotated[Path, typer.Option(help="Folder for the .mar archives.")],
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Measure what each card states again, on its whole split.")
    ] = False,
    data: Data = None,
    data_root: DataRoot = None,
) -> None:
    """Verify checkpoints and make an archive of each; refused ones are named, the others are made."""
    from rdserve.cli.commands.verify_card import verify_card
    from rdserve.cli.exits import Code
    from rdserve.server.repository import packaging

    refused = 0
    with failures_told():
        for checkpoint in checkpoints:
            if remeasure and not verify_card(checkpoint, data_root, TOLERANCE, data):
                refused += 1
                typer.echo(f"refused: {checkpoint}: its card is not what its weights measure", err=True)
                continue
            try:
                typer.echo(packaging.package(checkpoint, store))
            except packaging.PackagingError as error:
                refused += 1
                typer.echo(f"refused: {error}", err=True)
    if refused:
        raise typer.Exit(Code.FAILED)
