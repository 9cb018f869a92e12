"""`rdserve compare`: a data set on several models, as a table, figures and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli.common import ADDRESS, DataRoot, Limit, NSamples, Seed, Server, Split, Timeout, connection
from rdserve.cli.trust import trusting
from rdserve.client import Client, InputError, ModelInfo
from rdserve.compare import files, scoring, terminal
from rdserve.compare.pictures import representatives
from rdserve.compare.rows import Row
from rdserve.compare.rows import compare as compare_rows
from rdserve.data import Dataset, load


@trusting
def compare(
    data: Annotated[str, typer.Option(help="digits or static-mnist.")] = "digits",
    split: Split = "test",
    limit: Limit = None,
    data_root: DataRoot = None,
    models: Annotated[str, typer.Option(help="Names, separated by commas; or all.")] = "all",
    n_samples: NSamples = 1,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    server: Server = ADDRESS,
    serve: Annotated[
        Path | None, typer.Option(help="Start a service over this folder's models for this run.")
    ] = None,
    timeout: Timeout = 300.0,
) -> None:
    """Score a data set on several models with the same noise, and compare them in the (R, D) plane."""
    with connection(server, timeout=timeout, models=serve) as client:
        dataset = load(data, split=split, root=data_root)
        images = dataset.images[:limit]
        chosen = _choose(client.models(), models, images.shape[1:], data)
        about = files.Provenance(data, split, dataset.sha256, len(images), seed, n_samples)
        rows = _score(client, chosen, images, about)
        paths = files.write_report(out, rows, about, _pictures(client, rows, dataset, len(images), seed))
        terminal.console().print(terminal.comparison_table(rows))
        typer.echo("\n" + "\n".join(map(str, paths)))


def _choose(served: Sequence[ModelInfo], wanted: str, shape: tuple[int, ...], data: str) -> list[ModelInfo]:
    """The models asked for by name; or all that fit the data, saying which do not.

    Raises:
        InputError: a name that is not served, a model that does not fit the data, several likelihoods, or
            no model left.
    """
    if wanted != "all":
        by_name = {model.name: model for model in served}
        names = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
        if unknown := [name for name in names if name not in by_name]:
            raise InputError(f"not served: {', '.join(unknown)}; there are {', '.join(by_name) or 'none'}")
        chosen = [by_name[name] for name in names]
    else:
        faults = {model.name: scoring.misfit(model, shape) for model in served}
        for name, fault in faults.items():
            if fault:
                typer.echo(f"left out: model {name!r} {fault}", err=True)
        chosen = [model for model in served if not faults[model.name]]
    if not chosen:
        raise InputError(f"no model to compare on {data}")
    scoring.check_fit(chosen, shape)
    return chosen


def _score(
    client: Client, models: Sequence[ModelInfo], images: files.Images, about: files.Provenance
) -> list[Row]:
    names = [model.name for model in models]
    total = len(names) * len(images)
    with terminal.progress(f"scoring {len(names)} models", total, terminal.console(stderr=True)) as done:
        scores = scoring.score_all(
            client,
            names,
            images,
            n_samples=about.n_samples,
            seed=about.seed,
            on_progress=lambda _, rows: done(rows),
        )
    return compare_rows(models, [scores[name] for name in names], n_samples=about.n_samples)


def _pictures(client: Client, rows: Sequence[Row], dataset: Dataset, n: int, seed: int) -> files.Pictures:
    shown = representatives(dataset.labels, n)
    names = [row.name for row in rows]
    with terminal.progress("reconstructing", len(names), terminal.console(stderr=True)) as done:
        drawn = scoring.reconstruct_all(
            client,
            names,
            dataset.images[shown],
            example_ids=shown,
            seed=seed,
            on_progress=lambda _: done(1),
        )
    return files.Pictures(dataset.images[shown], drawn)
