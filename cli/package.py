"""`rdserve package`."""

from pathlib import Path
from typing import Annotated

import typer


def package(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoint folders.")],
    store: Annotated[Path, typer.Option(help="Folder for the .mar archives.")],
) -> None:
    """Verify checkpoints and make an archive of each; refused ones are named, the others are made."""
    from rdserve.cli.exits import Code
    from rdserve.server import packaging

    refused = 0
    for checkpoint in checkpoints:
        try:
            typer.echo(packaging.package(checkpoint, store))
        except packaging.PackagingError as error:
            refused += 1
            typer.echo(f"refused: {error}", err=True)
    if refused:
        raise typer.Exit(Code.FAILED)
