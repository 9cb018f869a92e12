"""Options that more than one command takes."""

from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[str, typer.Option(help="Address of the service, host:port.")]
Serve = Annotated[Path | None, typer.Option(help="Start a service over this folder's models for this run.")]
Seed = Annotated[int, typer.Option(min=0, help="Names the noise; the same seed, the same numbers.")]
NSamples = Annotated[int, typer.Option(min=1, help="Samples per image.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one call may take.")]
DATA = (
    "A data set's name (digits, static-mnist, digits-grey, patches, omniglot), or the path of one: .npz, "
    ".npy, idx, .csv, .parquet, or a folder of PNG."
)
Data = Annotated[str | None, typer.Option(help=DATA)]
DataSet = Annotated[str, typer.Option(help=DATA)]
Preprocess = Annotated[
    list[str] | None,
    typer.Option(help="A step from the data to x, as threshold=0.5 or scale=1/255; more of them in order."),
]
Split = Annotated[str, typer.Option(help="train, valid or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the data set's files, if not embedded.")]

ADDRESS = "localhost:50051"
