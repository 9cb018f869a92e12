"""`rdserve objectives`: which objective reaches which rate, of a served zoo of several seeds."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rdserve.cli import study_inputs
from rdserve.cli.commands.figures import signature
from rdserve.cli.connection import Trust, connection
from rdserve.cli.console import progress
from rdserve.cli.options import ADDRESS, Serve, Server, Timeout
from rdserve.client import Client
from rdserve.compare.render.figures import plane
from rdserve.study import objectives_page
from rdserve.study.codes import CodeSummary, codes
from rdserve.study.figures import objectives as figure
from rdserve.study.objectives import rows
from rdserve.study.subset import Examples, examples
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo

N_DRAWS = 16


def objectives(
    trust: Trust,
    data: study_inputs.DataOptions,
    limit: study_inputs.Limit = None,
    out: Annotated[Path, typer.Option(help="Folder for objectives.md and its picture.")] = Path("report"),
    work: study_inputs.Work = study_inputs.WORK,
    server: Server = ADDRESS,
    serve: Serve = None,
    timeout: Timeout = 600.0,
) -> None:
    """Set objectives beside the curve of beta-VAEs, on the test split, over seeds; with what their codes are
    like. Names end in -s0, -s1 and so on, as `seeds` in a recipe makes them."""
    with connection(server, trust, timeout=timeout, models=serve) as client:
        zoo = study_inputs.scored(client, data, "test", limit=limit, folder=work)
        train = examples(data.split("train", client), limit)
        found = rows(zoo.all, _codes(client, zoo, train))
    out.mkdir(parents=True, exist_ok=True)
    drawn = figure.objectives(found, zoo.title)
    for suffix in (".svg", ".png"):
        plane.save(drawn, out / f"objectives{suffix}", signature(zoo))
    wanted = {"serve": serve, "data": data.data, "preprocess": data.preprocess, "limit": limit}
    command = study_inputs.command("objectives", wanted)
    page = objectives_page.render(found, title=zoo.title, command=command, figure="objectives.svg")
    (out / "objectives.md").write_text(page, encoding="utf-8")
    typer.echo(out / "objectives.md")


def _codes(client: Client, zoo: ScoredZoo, train: Examples) -> dict[str, CodeSummary]:
    """By model; none where the data set has no labels."""
    if train.labels is None or zoo.examples.labels is None:
        typer.echo(f"{train.dataset.name} has no labels here: no probe of codes", err=True)
        return {}
    found = {}
    with progress(f"encoding with {len(zoo.all)} models", len(zoo.all)) as done:
        for model in zoo.all:
            draws = [_draws(client, model, train, 1)[:, 0], _draws(client, model, zoo.examples, N_DRAWS)]
            found[model.name] = codes(draws[0], train.labels, draws[1], zoo.examples.labels)
            done(1)
    return found


def _draws(
    client: Client, model: ScoredModel, of: Examples, n: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(N, n, Z)."""
    there = client.encode(model.name, of.images, n_samples=n, seed=model.seed, example_ids=of.ids)
    return np.asarray(there.latents, np.float64)
