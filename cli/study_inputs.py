"""What `rdserve figures`, `results` and `objectives` begin with: a served zoo scored, filed by category."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli import data_choice
from rdserve.cli.console import progress
from rdserve.cli.options import DataRoot, DataSet, Preprocess
from rdserve.client import Client
from rdserve.data import Dataset, read
from rdserve.study import categories, fidelity, zoo_scores
from rdserve.study.categories import Categorised
from rdserve.study.classifier import Classifier, train
from rdserve.study.subset import Examples, examples
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo

Limit = Annotated[int | None, typer.Option(min=2, help="So many images of each split, drawn at random.")]
Work = Annotated[
    Path, typer.Option(help="Folder for rows, to go on from; of figures, results and objectives alike.")
]
WORK = Path("report/study-rows")


@dataclass(frozen=True)
class DataOptions:
    """Which data a study is on."""

    data: DataSet = "digits"
    data_root: DataRoot = None
    preprocess: Preprocess = None

    def split(self, split: str, client: Client) -> Dataset:
        """As the served models take it. Raises as `rdserve.cli.data_choice.chosen`."""
        return data_choice.chosen(
            self.data,
            split=split,
            root=self.data_root,
            preprocess=self.preprocess,
            models=lambda shape: data_choice.stated_by(client.models(), shape),
        )


def scored(client: Client, data: DataOptions, split: str, *, limit: int | None, folder: Path) -> ScoredZoo:
    """Every served model that takes the data set's images, with a bar; what fails is said on stderr.

    Raises:
        DataError, InputError, RdserveError: as the calls it makes.
    """
    chosen = examples(data.split(split, client), limit)
    models, left_out = zoo_scores.fitting(client, chosen.images)
    for name, fault in left_out.items():
        typer.echo(f"left out: model {name!r} {fault}", err=True)
    title, total = f"scoring {len(models)} models ({split}, {chosen.n} images)", len(models) * chosen.n
    with progress(title, total) as done:
        found = zoo_scores.score(
            client, models, chosen, folder=folder, on_progress=lambda _, rows: done(rows)
        )
    for name, why in found.failures.items():
        typer.echo(f"left out: model {name!r} failed: {why}", err=True)
    return found


def command(name: str, wanted: Mapping[str, object]) -> str:
    """What makes the same again, but for where files lie: a command and its options, those not None."""
    words = ["rdserve", name]
    for option, value in wanted.items():
        for each in value if isinstance(value, list) else [value]:
            words += [] if each is None else [f"--{option}", str(each)]
    return shlex.join(words)


def trained_classifier(data: DataOptions, of: Dataset) -> Classifier | None:
    """Of the classes of the data that `of` is a split of, done to as it was; None, which is said on stderr,
    where there are no labels to train or to measure it on."""
    source = read(data.data, root=data.data_root, steps=of.preprocessing)
    there = {"train", "test"} <= source.labels.keys()
    found = train(source.split("train"), source.split("test")) if there else None
    if found is None:
        typer.echo(f"{of.name} has no labels here: categories by R and D alone", err=True)
    return found


def few(of: Examples, n: int) -> Examples:
    """At most n of the examples: drawn from the same split."""
    return examples(of.dataset, min(n, of.n))


def categorised(
    client: Client, chosen: Sequence[ScoredModel], of: Examples, classifier: Classifier | None
) -> dict[str, Categorised]:
    """The category of each model by name, from its reconstructions of these examples."""
    title, total = (
        f"reconstructing {of.n} images with {len(chosen)} models",
        (1 + fidelity.N_FRESH) * len(chosen),
    )
    with progress(title, total) as done:
        found = fidelity.ask_reconstructions(client, chosen, of, classifier, on_progress=lambda _: done(1))
    return {model.name: categories.categorise_with_support(model, found[model.name]) for model in chosen}
