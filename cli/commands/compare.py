"""`rdserve compare`: images on several models, as a verdict, tables, figures and files."""

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rdserve.cli.connection import Trust, connection
from rdserve.cli.console import console, progress
from rdserve.cli.data_choice import Shape, Stated, chosen, stated_by
from rdserve.cli.exits import writing
from rdserve.cli.group_files import read_groups
from rdserve.cli.image_files import read_images, read_labels
from rdserve.cli.options import (
    ADDRESS,
    Data,
    DataRoot,
    Limit,
    Preprocess,
    Seed,
    Serve,
    Server,
    Split,
    Timeout,
)
from rdserve.client import Client, InputError, ModelInfo, RdserveError
from rdserve.compare import api, compatibility, export
from rdserve.compare.analysis.gate import GateOutcome, Limits, gate
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import terminal
from rdserve.compare.render.gate_report import to_junit, to_markdown
from rdserve.compare.scores import ScoredData
from rdserve.compare.scoring import row_store
from rdserve.compare.scoring.engines import Engine, Local
from rdserve.compare.scoring.pictures import Pictures
from rdserve.compare.served import served
from rdserve.data.preprocessing import words

JUNIT, SUMMARY = "gate.xml", "gate.md"

GATE = "Gate: exit 0 if kept, 1 if broken, 2 if undecided; 64 and above if it could not be run"
Most = Annotated[float | None, typer.Option(rich_help_panel=GATE, help="Nats above the baseline's, at most.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.9999, help="Confidence in all that is called sure.")]
Beta = Annotated[float, typer.Option(min=0.0, help="Weigh the models by D + beta R.")]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help="Samples of e(z|x) per image; 8 of up to 1,000 images, fewer of more."),
]
Margin = Annotated[
    float | None, typer.Option(min=1e-9, help="Models within so many nats, in R and in D, are the same.")
]


class EngineName(StrEnum):
    """local: this process. ray: the workers of a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


class ByName(StrEnum):
    """model: each as it is. recipe: models that differ in the seed of their training alone, together."""

    MODEL = "model"
    RECIPE = "recipe"


@dataclass(frozen=True)
class LabelledImages:
    """Images (N, H, W), their classes and groups (N,), and the data set they are of.

    about: None for one's own.
    """

    images: NDArray[Any]
    labels: NDArray[np.integer[Any]] | None
    groups: NDArray[Any] | None
    about: ScoredData | None


@dataclass(frozen=True)
class ImageOptions:
    """What to score."""

    data: Data = None
    images: Annotated[Path | None, typer.Option(help=".npy or .npz with binary images (N, H, W).")] = None
    labels: Annotated[Path | None, typer.Option(help="Of --images: .npy or .npz with their classes.")] = None
    groups: Annotated[
        Path | None,
        typer.Option(help="Ids of dependent images, such as writers: .npy, .npz, .csv, or a line each."),
    ] = None
    group_column: Annotated[str | None, typer.Option(help="Of --groups, where that is a .csv or .tsv.")] = (
        None
    )
    split: Split = "test"
    limit: Limit = None
    data_root: DataRoot = None
    preprocess: Preprocess = None

    def read(self, models: Callable[[Shape], Iterable[Stated]], disagree: bool) -> LabelledImages:
        """The first `limit` of them; digits if neither --data nor --images is given.

        models, disagree: as of `rdserve.cli.data_choice.chosen`.

        Raises:
            InputError: two sources, labels of no file of images, not one group id per image, a file that
                holds no such array, or steps that are not the models'.
            DataError: as `rdserve.data.read`.
        """
        if self.images is not None:
            if self.data is not None:
                raise InputError("give --images FILE, or --data NAME")
            pixels = read_images(self.images)[: self.limit]
            labels = None if self.labels is None else read_labels(self.labels, len(pixels))
            return LabelledImages(pixels, labels, self._groups(len(pixels)), None)
        if self.labels is not None:
            raise InputError("--labels are of images of your own; give --images FILE too")
        dataset = chosen(
            self.data or "digits",
            split=self.split,
            root=self.data_root,
            preprocess=self.preprocess,
            models=models,
            disagree=disagree,
        )
        classes = None if dataset.labels is None else dataset.labels[: self.limit]
        about = ScoredData(dataset.name, dataset.split, dataset.sha256, words(dataset.preprocessing))
        pixels = dataset.x[: self.limit]
        return LabelledImages(pixels, classes, self._groups(len(pixels)), about)

    def _groups(self, n: int) -> NDArray[Any] | None:
        if self.groups is None:
            if self.group_column is not None:
                raise InputError("--group-column is of --groups FILE; give that too")
            return None
        ids = read_groups(self.groups, self.group_column)[: self.limit]
        if ids.shape != (n,):
            raise InputError(f"{self.groups} holds {len(ids)} group ids for {n} images: give one for each")
        return ids


@dataclass(frozen=True)
class CompareOptions:
    """How to score and compare, and what to allow."""

    models: Annotated[str, typer.Option(help="Names, separated by commas; or all.")] = "all"
    n_samples: Samples = None
    seed: Seed = 0
    level: Level = 0.95
    beta: Beta = 1.0
    by: Annotated[
        ByName, typer.Option(help="recipe: compare over runs, models that differ in their seed alone.")
    ] = ByName.MODEL
    equivalence_margin: Margin = None
    sequential: Annotated[bool, typer.Option("--sequential", help="Stop once the answer is known.")] = False
    allow_incomparable: Annotated[
        bool, typer.Option("--allow-incomparable", help="Compare what does not compare, with a warning.")
    ] = False
    baseline: Annotated[str | None, typer.Option(help="Compare every other model with this one.")] = None
    max_rate_increase: Most = None
    max_distortion_increase: Most = None
    max_elbo_decrease: Most = None
    max_weighted_increase: Most = None
    out: Annotated[Path, typer.Option(help="Folder for the report, and for rows to go on from.")] = Path(
        "report"
    )
    restart: Annotated[bool, typer.Option("--restart", help="Score anew what the folder holds.")] = False
    engine: Annotated[EngineName, typer.Option(help="Where scoring is called from.")] = EngineName.LOCAL

    @property
    def asked(self) -> list[str]:
        """Names of models; none where all are meant."""
        names = [] if self.models == "all" else self.models.split(",")
        return [name.strip() for name in names if name.strip()]

    @property
    def limits(self) -> Limits:
        return Limits(
            self.max_rate_increase,
            self.max_distortion_increase,
            self.max_elbo_decrease,
            self.max_weighted_increase,
        )

    @property
    def rows(self) -> Path:
        """Where scores are kept until the report is written."""
        return self.out / "rows"

    def check(self) -> None:
        """Raises InputError for options that do not go together."""
        if self.limits.any and not self.baseline:
            raise InputError("a limit is on what changed since a baseline: name it with --baseline")
        if self.by is ByName.RECIPE and self.sequential:
            raise InputError("--by recipe needs a number of images that is fixed beforehand, no --sequential")
        if self.by is ByName.RECIPE and self.equivalence_margin is not None:
            raise InputError("--equivalence-margin tells of models, not of recipes: leave out --by recipe")

    @property
    def stop(self) -> api.Stop | None:
        return api.Stop(self.baseline, self.equivalence_margin or 0.0) if self.sequential else None


def compare(
    what: ImageOptions,
    options: CompareOptions,
    trust: Trust,
    server: Server = ADDRESS,
    serve: Serve = None,
    timeout: Timeout = 300.0,
) -> None:
    """Score images on several models with the same noise, and say which is better, and for which beta."""
    with connection(server, trust, timeout=timeout, models=serve) as client:
        options.check()
        known = _known(client, options)
        source = what.read(lambda shape: _stated(known.values(), options, shape), options.allow_incomparable)
        names = _choose(known, options, source)
        arguments = {} if serve else trust.arguments()
        engine = Local(client) if options.engine is EngineName.LOCAL else _ray(client, timeout, arguments)
        with writing(options.out):
            comparison = _asked(_score(client, engine, names, source, options), serve)
            paths = export.write_all(
                comparison.analysis, _pictures(comparison), options.out, comparison.images
            )
        margin = options.equivalence_margin
        terminal.show(comparison.analysis, console(), baseline=options.baseline, equivalence_margin=margin)
        if len(names) == 1:
            typer.echo(f"{names[0]} alone: there is nothing to compare it with", err=True)
        row_store.finish(options.rows)
        outcome = _gate(comparison, options, paths)
        typer.echo("\n" + "\n".join(map(str, paths)))
    raise typer.Exit(outcome)


def _known(client: Client, options: CompareOptions) -> dict[str, ModelInfo]:
    """All models of the service by name, those asked for among them.

    Raises:
        InputError: a name that is not served.
        Unavailable: the service is starting, and a named model may be yet to come.
    """
    return served(client, dict.fromkeys(name for name in [*options.asked, options.baseline] if name))


def _stated(known: Iterable[ModelInfo], options: CompareOptions, shape: Shape) -> list[Stated]:
    """Of the models that are to be compared, as far as they are there."""
    asked = {*options.asked, options.baseline}
    return stated_by((model for model in known if options.models == "all" or model.name in asked), shape)


def _choose(known: Mapping[str, ModelInfo], options: CompareOptions, source: LabelledImages) -> list[str]:
    """The models asked for by name and the baseline; or all that fit the data, saying which do not.

    Raises:
        InputError: no model left.
    """
    asked = options.asked
    if options.models == "all":
        faults = {name: compatibility.misfit(model, source.images) for name, model in known.items()}
        for name in filter(faults.get, faults):
            typer.echo(f"left out: model {name!r} {faults[name]}", err=True)
        asked = [name for name, fault in faults.items() if not fault]
    if not asked:
        raise InputError(f"no model to compare on {source.about.name if source.about else 'these images'}")
    return list(dict.fromkeys([*asked, options.baseline] if options.baseline else asked))


def _ray(client: Client, timeout: float, trust: dict[str, Any]) -> Engine:
    from rdserve.compare.scoring.ray_engine import RayEngine

    return RayEngine(client.address, timeout=timeout, **trust)


def _score(
    client: Client, engine: Engine, names: Sequence[str], source: LabelledImages, options: CompareOptions
) -> Comparison:
    with progress(f"scoring {len(names)} models", len(names) * len(source.images)) as done:
        comparison = api.compare(
            client,
            names,
            source.images,
            labels=source.labels,
            group_ids=source.groups,
            data=source.about,
            seed=options.seed,
            n_samples=options.n_samples,
            level=options.level,
            beta=options.beta,
            by=options.by.value,
            stop=options.stop,
            allow_incomparable=options.allow_incomparable,
            engine=engine,
            folder=options.rows,
            restart=options.restart,
            on_progress=lambda _, rows: done(rows),
        )
    for name, why in comparison.failures.items():
        typer.echo(f"left out: model {name!r} failed: {why}", err=True)
    return comparison


def _asked(comparison: Comparison, serve: Path | None) -> Comparison:
    """With the command; and a service of its own by its folder, as its port is another each time."""
    assert comparison.origin is not None
    service = comparison.origin.service if serve is None else f"of this run, over {serve}"
    command = shlex.join(["rdserve", *sys.argv[1:]])
    origin = replace(comparison.origin, service=service, command=command)
    told = comparison.analysis.carried_to(replace(comparison.analysis.scored, origin=origin))
    return Comparison.of(told, comparison.images, comparison.client)


def _pictures(comparison: Comparison) -> Pictures | None:
    with progress("drawing pictures", len(comparison.names)) as done:
        return comparison.pictures(on_progress=lambda _: done(1))


def _gate(comparison: Comparison, options: CompareOptions, paths: list[Path]) -> GateOutcome:
    """Say and write down whether the limits are kept, adding to `paths`; without limits they are."""
    if options.baseline is None or not options.limits.any:
        return GateOutcome.PASS
    if comparison.failures:
        raise RdserveError(f"no gate over models that failed: {', '.join(comparison.failures)}")
    checked = gate(comparison, options.baseline, options.limits)
    for check in checked.checks:
        typer.echo(f"{check.outcome.name.lower()}: {check.model}: {check.sentence}")
    written = {options.out / JUNIT: to_junit(checked), options.out / SUMMARY: to_markdown(checked)}
    with writing(options.out):
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")
    paths += written
    return checked.outcome
