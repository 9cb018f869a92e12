"""Options that more than one command takes."""

from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[str, typer.Option(help="Address of the service, host:port.")]
Serve = Annotated[Path | None, typer.Option(help="Start a service over this folder's models for this run.")]
Seed = Annotated[int, typer.Option(min=0, help="Names the noise; the same seed, the same numbers.")]
NSamples = Annotated[int, typer.Option(min=1, help="Samples per image.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one call may take.")]
Data = Annotated[str | None, typer.Option(help="A data set in place of a file: digits or static-mnist.")]
Split = Annotated[str, typer.Option(help="train, valid or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the data set's files, if not embedded.")]

ADDRESS = "localhost:50051"
