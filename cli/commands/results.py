"""`rdserve results`: a served zoo on every split, beside the paper's numbers."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import typer
from rdserve import __version__
from rdserve.cli import study_inputs
from rdserve.cli.commands.bounds import N_FITTED, N_GENERATED, Bounds, K, N, NFitted, bound, others_than
from rdserve.cli.commands.figures import Images
from rdserve.cli.connection import Trust, connection
from rdserve.cli.console import progress
from rdserve.cli.kept import kept
from rdserve.cli.options import ADDRESS, Server, Timeout
from rdserve.client import Client
from rdserve.compare.render import json_stream
from rdserve.models.card import CardError, TorchCard, read_card
from rdserve.study import results_page
from rdserve.study.results import JUDGED_ON, SPLITS, Study, counts, document
from rdserve.study.zoo_scores import ScoredZoo

NBounds = Annotated[int, typer.Option(min=2, help="Images in the mixture that bounds the information.")]
NGenerated = Annotated[int, typer.Option(min=0, help="Pairs drawn from each model for bounds; 0: no bounds.")]


class Sizes(NamedTuple):
    """Of what bounds come from: images, training images for a density of codes, pairs of a model's own."""

    n: int
    n_fitted: int
    n_generated: int


def results(
    trust: Trust,
    data: study_inputs.DataOptions,
    models: Annotated[
        Path | None, typer.Option(help="Serve this folder's models for this run; bounds need their weights.")
    ] = None,
    splits: Annotated[str, typer.Option(help="Which to score, divided by commas.")] = ",".join(SPLITS),
    limit: study_inputs.Limit = None,
    images: Images = 100,
    n_bounds: NBounds = N,
    n_fitted: NFitted = N_FITTED,
    n_generated: NGenerated = N_GENERATED,
    out: Annotated[Path, typer.Option(help="Folder for results.json and results.md.")] = Path("report"),
    work: study_inputs.Work = study_inputs.WORK,
    server: Server = ADDRESS,
    timeout: Timeout = 600.0,
) -> None:
    """Score a zoo on every split, and write it down beside the paper: targets, categories, bounds."""
    chosen = chosen_splits(splits)
    with connection(server, trust, timeout=timeout, models=models) as client:
        scored = {split: _scored(client, data, split, limit, work) for split in chosen}
        folders = _folders(models)
        sizes = Sizes(n_bounds, n_fitted, n_generated)
        bounds = _bounds(scored[JUDGED_ON], folders, data.data_root, sizes, work)
        study = _study(client, scored, data, images, folders, bounds)
    wanted: dict[str, object] = {
        "models": models,
        "data": data.data,
        "preprocess": data.preprocess,
        "splits": splits,
    }
    wanted |= {"limit": limit, "images": images, "n-bounds": n_bounds, "n-fitted": n_fitted}
    wanted |= {"n-generated": n_generated}
    found = document(study, study_inputs.command("results", wanted))
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text("".join(json_stream.text(found, "\n")) + "\n", encoding="utf-8")
    (out / "results.md").write_text(results_page.render(found), encoding="utf-8")
    reached = counts([target["outcome"] for target in found["targets"]])
    typer.echo(f"targets: {reached}\n{out / 'results.md'}\n{out / 'results.json'}")


def chosen_splits(wanted: str) -> list[str]:
    """The test split first: targets are judged on it. Raises typer.BadParameter without it."""
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if JUDGED_ON not in names or set(names) - set(SPLITS):
        raise typer.BadParameter(f"splits are of {', '.join(SPLITS)}, {JUDGED_ON} among them; got {wanted}")
    return sorted(set(names), key=lambda name: -SPLITS.index(name))


def _scored(
    client: Client, data: study_inputs.DataOptions, split: str, limit: int | None, work: Path
) -> ScoredZoo:
    start = monotonic()
    zoo = study_inputs.scored(client, data, split, limit=limit, folder=work)
    typer.echo(f"scored {zoo.title} in {monotonic() - start:.0f} s", err=True)
    return zoo


def _study(
    client: Client,
    scored: dict[str, ScoredZoo],
    data: study_inputs.DataOptions,
    n_images: int,
    folders: Mapping[str, Path],
    bounds: Mapping[str, Mapping[str, Any]],
) -> Study:
    judged = scored[JUDGED_ON]
    few = study_inputs.few(judged.examples, n_images)
    classifier = study_inputs.trained_classifier(data, judged.examples.dataset)
    categorised = study_inputs.categorised(client, judged.all, few, classifier)
    cards = {name: read_card(place) for name, place in folders.items()}
    architectures = {
        name: card.architecture.model_dump() for name, card in cards.items() if isinstance(card, TorchCard)
    }
    training = {name: card.training for name, card in cards.items()}
    return Study(scored, categorised, few, classifier, bounds, architectures, training)


def _bounds(
    judged: ScoredZoo, folders: Mapping[str, Path], root: Path | None, sizes: Sizes, work: Path
) -> dict[str, dict[str, Any]]:
    """By model, of those whose weights are at hand; those that `work` has are not computed again."""
    there = [model.name for model in judged.all if model.name in folders]
    if not there or sizes.n_generated < 2:
        return {}
    mixed, bounds = study_inputs.few(judged.examples, sizes.n), {}
    others = others_than(mixed, mixed.dataset.name, root, sizes.n_fitted)
    data = {"sha256": mixed.dataset.sha256, "split": mixed.dataset.split}
    facts = {**data, **sizes._asdict(), "k": K, "seed": 0, "version": __version__}
    with progress("bounding", len(there)) as done:
        for name in there:
            place = folders[name]
            ask = partial(bound, place, mixed, others, seed=0, n_generated=sizes.n_generated, k=K)
            of = {**facts, "weights_sha256": read_card(place).weights_sha256}
            bounds[name] = kept(work / f"bounds-{quote(name, safe='')}.json", of, _document_of(ask))
            done(1)
    return bounds


def _document_of(ask: Callable[[], Bounds]) -> Callable[[], dict[str, Any]]:
    return lambda: ask().document()


def _folders(zoo: Path | None) -> dict[str, Path]:
    """By the name on its card, each checkpoint of a folder of them; what else lies there is none."""
    found = {}
    for place in sorted(zoo.iterdir()) if zoo is not None else ():
        try:
            found[read_card(place).name] = place
        except CardError:
            continue
    return found
