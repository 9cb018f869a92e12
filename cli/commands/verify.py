"""`rdserve verify`: whether the numbers of a comparison, or of a card, are what the models say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rdserve.cli.connection import Trust, connection, failures_told
from rdserve.cli.exits import Code
from rdserve.cli.image_files import read_images
from rdserve.cli.options import ADDRESS, DataRoot, Serve, Server, Timeout
from rdserve.client import InputError
from rdserve.compare import verify as checks
from rdserve.compare.rebuilt import contradictions, part_of
from rdserve.compare.rebuilt_page import altered
from rdserve.compare.score_document import from_document
from rdserve.compare.scores import ScoreSet, images_sha256
from rdserve.data import load


def verify(
    subject: Annotated[
        Path, typer.Argument(help="comparison.json or report.html; or a checkpoint's folder.")
    ],
    trust: Trust,
    rows: Annotated[int, typer.Option(min=1, help="How many images to score again; half drawn anew.")] = 64,
    all_rows: Annotated[bool, typer.Option("--all-rows", help="Score every image again.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Nats that rounding may cost an image.")] = 1e-3,
    images: Annotated[Path | None, typer.Option(help="The images, where they are no named data set.")] = None,
    data_root: DataRoot = None,
    server: Server = ADDRESS,
    serve: Serve = None,
    timeout: Timeout = 300.0,
) -> None:
    """Whether the numbers are reproduced: exit code 0 if they are, 1 if not, 64 and above if unknown.

    Of a comparison: scores some of its images again, and builds all that its file says from its per-image
    values. Of a checkpoint: measures what its card states again, on the whole split; no service is called.
    """
    if subject.is_dir():
        from rdserve.cli.commands.verify_card import verify_card

        with failures_told():
            reproduced = verify_card(subject, data_root, tolerance)
        raise typer.Exit(Code.DONE if reproduced else Code.FAILED)
    with connection(server, trust, timeout=timeout, models=serve) as client:
        document = checks.read(subject)
        scored = from_document(document["examples"])
        pixels = _images(scored, images, data_root)
        found = _contradictions(subject, document, scored, pixels[: scored.n])
        wanted = scored.n if all_rows else rows
        chosen = checks.sample(scored, wanted, np.random.default_rng())
        replays = checks.replay(client, scored, pixels, chosen)
    for line in [*found, *(one.sentence(tolerance) for one in replays)]:
        typer.echo(line)
    if (whole := part_of(document)) is not None:
        typer.echo(f"the file holds {scored.n} of {whole} images: its statistics were not built again")
    typer.echo(checks.seen(scored, wanted))
    good = sum(one.reproduced(tolerance) for one in replays)
    typer.echo(f"{good} of {len(replays)} models reproduced within {tolerance:g} nats")
    if found or any(one.scored and not one.reproduced(tolerance) for one in replays):
        raise typer.Exit(Code.FAILED)
    if good < len(replays):
        raise typer.Exit(Code.UNAVAILABLE)


def _contradictions(
    file: Path, document: Mapping[str, Any], scored: ScoreSet, images: NDArray[np.bool_]
) -> list[str]:
    """Of the document; and of the page around it, where that can be built again."""
    found = contradictions(document)
    if checks.is_report(file) and part_of(document) is None:
        found += altered(file.read_text(encoding="utf-8"), scored, images)
    return found


def _images(scored: ScoreSet, file: Path | None, root: Path | None) -> NDArray[np.bool_]:
    """The very images of the comparison, by their hash.

    Raises:
        InputError: other images, or none to be had.
        DataError: as `rdserve.data.load`.
    """
    about = scored.data
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
