"""`rdserve verify`: whether the numbers of a comparison are what the models say."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rdserve.cli.arrays import read_images
from rdserve.cli.common import ADDRESS, DataRoot, Server, Timeout, connection
from rdserve.cli.exits import Code
from rdserve.cli.trust import trusting
from rdserve.client import InputError
from rdserve.compare import verify as checks
from rdserve.compare.comparison import Comparison, from_document, images_sha256
from rdserve.data import load


@trusting
def verify(
    report: Annotated[Path, typer.Argument(help="comparison.json or report.html.")],
    rows: Annotated[int, typer.Option(min=1, help="How many images to score again.")] = 32,
    tolerance: Annotated[float, typer.Option(min=0, help="Nats that rounding may cost an image.")] = 1e-3,
    images: Annotated[Path | None, typer.Option(help="The images, where they are no named data set.")] = None,
    data_root: DataRoot = None,
    server: Server = ADDRESS,
    serve: Annotated[
        Path | None, typer.Option(help="Start a service over this folder's models for this run.")
    ] = None,
    timeout: Timeout = 300.0,
) -> None:
    """Score some images of a comparison again: exit code 0 if the numbers are reproduced, 1 if not, 64 and
    above if that could not be found out."""
    with connection(server, timeout=timeout, models=serve) as client:
        document = checks.read(report)
        comparison = from_document(document["examples"])
        pixels = _images(comparison, images, data_root)
        found = checks.contradictions(document)
        replays = checks.replay(client, comparison, pixels, checks.sample(comparison, rows))
    for line in [*found, *(one.sentence(tolerance) for one in replays)]:
        typer.echo(line)
    good = sum(one.reproduced(tolerance) for one in replays)
    typer.echo(f"{good} of {len(replays)} models reproduced within {tolerance:g} nats")
    if found or any(one.scored and not one.reproduced(tolerance) for one in replays):
        raise typer.Exit(Code.FAILED)
    if good < len(replays):
        raise typer.Exit(Code.UNAVAILABLE)


def _images(comparison: Comparison, file: Path | None, root: Path | None) -> NDArray[np.bool_]:
    """The very images of the comparison, by their hash.

    Raises:
        InputError: other images, or none to be had.
        DataError: as `rdserve.data.load`.
    """
    about = comparison.data
    if file is not None:
        pixels = np.asarray(read_images(file, None, split="", limit=None), np.bool_)
        sha256 = images_sha256(pixels)
    elif about.name == "images":
        raise InputError("the comparison is of images that are no named data set; give --images FILE")
    else:
        dataset = load(about.name, split=about.split, root=root)
        pixels, sha256 = dataset.images, dataset.sha256
    if sha256 != about.sha256:
        raise InputError(f"other images: sha256 {sha256[:12]}, the comparison has {about.sha256[:12]}")
    return pixels
