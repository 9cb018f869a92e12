"""`rdserve compare`: images on several models, as a verdict, tables, figures and files."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rdserve.cli.connection import Trust, connection
from rdserve.cli.console import console, progress
from rdserve.cli.exits import writing
from rdserve.cli.image_files import read_images, read_labels
from rdserve.cli.options import ADDRESS, DataRoot, Limit, NSamples, Seed, Serve, Server, Split, Timeout
from rdserve.client import Client, InputError, ModelInfo, RdserveError
from rdserve.client.results import unserved
from rdserve.compare import api, compatibility, export
from rdserve.compare.analysis.gate import GateOutcome, Limits, gate
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import terminal
from rdserve.compare.render.gate_report import to_junit, to_markdown
from rdserve.compare.scores import ScoredData
from rdserve.compare.scoring import row_store
from rdserve.compare.scoring.engines import Engine, Local
from rdserve.compare.scoring.pictures import Pictures
from rdserve.data import load

JUNIT, SUMMARY = "gate.xml", "gate.md"

GATE = "Gate: exit 0 if kept, 1 if broken, 2 if undecided; 64 and above if it could not be run"
Most = Annotated[float | None, typer.Option(rich_help_panel=GATE, help="Nats above the baseline's, at most.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.9999, help="Confidence in all that is called sure.")]
Beta = Annotated[float, typer.Option(min=0.0, help="Weigh the models by D + beta R.")]
Margin = Annotated[
    float | None, typer.Option(min=1e-9, help="Models within so many nats, in R and in D, are the same.")
]


class EngineName(StrEnum):
    """local: this process. ray: the workers of a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class LabelledImages:
    """Images (N, H, W), their classes (N,), and the data set they are of; about: None for one's own."""

    images: NDArray[np.bool_]
    labels: NDArray[np.integer] | None
    about: ScoredData | None


@dataclass(frozen=True)
class ImageOptions:
    """What to score."""

    data: Annotated[
        str | None, typer.Option(help="digits or static-mnist; digits if neither this nor --images is given.")
    ] = None
    images: Annotated[Path | None, typer.Option(help=".npy or .npz with binary images (N, H, W).")] = None
    labels: Annotated[Path | None, typer.Option(help="Of --images: .npy or .npz with their classes.")] = None
    split: Split = "test"
    limit: Limit = None
    data_root: DataRoot = None

    def read(self) -> LabelledImages:
        """The first `limit` of them.

        Raises:
            InputError: two sources, labels of no file of images, or a file that holds no such array.
            DataError: as `rdserve.data.load`.
        """
        if self.images is not None:
            pixels = read_images(self.images, self.data, split=self.split, limit=self.limit)
            labels = None if self.labels is None else read_labels(self.labels, len(pixels))
            return LabelledImages(pixels, labels, None)
        if self.labels is not None:
            raise InputError("--labels are of images of your own; give --images FILE too")
        dataset = load(self.data or "digits", split=self.split, root=self.data_root)
        classes = None if dataset.labels is None else dataset.labels[: self.limit]
        about = ScoredData(dataset.name, dataset.split, dataset.sha256)
        return LabelledImages(dataset.images[: self.limit], classes, about)


@dataclass(frozen=True)
class CompareOptions:
    """How to score and compare, and what to allow."""

    models: Annotated[str, typer.Option(help="Names, separated by commas; or all.")] = "all"
    n_samples: NSamples = 1
    seed: Seed = 0
    level: Level = 0.95
    beta: Beta = 1.0
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
        if options.limits.any and not options.baseline:
            raise InputError("a limit is on what changed since a baseline: name it with --baseline")
        source = what.read()
        names = _choose(client.models(), options, source)
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


def _choose(served: Sequence[ModelInfo], options: CompareOptions, source: LabelledImages) -> list[str]:
    """The models asked for by name and the baseline; or all that fit the data, saying which do not.

    Raises:
        InputError: a name that is not served, or no model left.
    """
    faults = {model.name: compatibility.misfit(model, source.images.shape[1:]) for model in served}
    asked = [name.strip() for name in options.models.split(",") if name.strip()]
    if options.models == "all":
        for name in filter(faults.get, faults):
            typer.echo(f"left out: model {name!r} {faults[name]}", err=True)
        asked = [name for name, fault in faults.items() if not fault]
    if not asked:
        raise InputError(f"no model to compare on {source.about.name if source.about else 'these images'}")
    names = list(dict.fromkeys([*asked, options.baseline] if options.baseline else asked))
    if unknown := unserved(names, faults):
        raise InputError(unknown)
    return names


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
            data=source.about,
            seed=options.seed,
            n_samples=options.n_samples,
            level=options.level,
            beta=options.beta,
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
