"""`rdserve compare`: a data set on several models, as a verdict, tables, figures and files."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rdserve.cli.common import ADDRESS, DataRoot, Limit, NSamples, Seed, Server, Split, Timeout, connection
from rdserve.cli.trust import chosen_trust, trusting
from rdserve.client import Client, InputError, ModelInfo
from rdserve.compare import api, columns, files, pictures, scoring, terminal
from rdserve.compare.comparison import Comparison, Data
from rdserve.compare.engines import Engine, Local
from rdserve.compare.gate import Limits, Outcome, gate, to_junit, to_markdown
from rdserve.data import Dataset, load

JUNIT, SUMMARY = "gate.xml", "gate.md"

GATE = "Gate: exit 0 if kept, 1 if broken, 2 if undecided"
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


@trusting
def compare(
    data: Annotated[str, typer.Option(help="digits or static-mnist.")] = "digits",
    split: Split = "test",
    limit: Limit = None,
    data_root: DataRoot = None,
    models: Annotated[str, typer.Option(help="Names, separated by commas; or all.")] = "all",
    n_samples: NSamples = 1,
    seed: Seed = 0,
    level: Level = 0.95,
    beta: Beta = 1.0,
    equivalence_margin: Margin = None,
    sequential: Annotated[bool, typer.Option("--sequential", help="Stop once the answer is known.")] = False,
    allow_incomparable: Annotated[
        bool, typer.Option("--allow-incomparable", help="Compare what does not compare, with a warning.")
    ] = False,
    baseline: Annotated[str | None, typer.Option(help="Compare every other model with this one.")] = None,
    max_rate_increase: Most = None,
    max_distortion_increase: Most = None,
    max_elbo_decrease: Most = None,
    max_weighted_increase: Most = None,
    out: Annotated[Path, typer.Option(help="Folder for the report, and for rows to go on from.")] = Path(
        "report"
    ),
    restart: Annotated[bool, typer.Option("--restart", help="Score anew what the folder holds.")] = False,
    engine: Annotated[EngineName, typer.Option(help="Where scoring is called from.")] = EngineName.LOCAL,
    server: Server = ADDRESS,
    serve: Annotated[
        Path | None, typer.Option(help="Start a service over this folder's models for this run.")
    ] = None,
    timeout: Timeout = 300.0,
) -> None:
    """Score a data set on several models with the same noise, and say which is better, and for which beta."""
    limits = Limits(max_rate_increase, max_distortion_increase, max_elbo_decrease, max_weighted_increase)
    score = partial(
        api.compare,
        seed=seed,
        n_samples=n_samples,
        level=level,
        beta=beta,
        stop=api.Stop(baseline, equivalence_margin or 0.0) if sequential else None,
        allow_incomparable=allow_incomparable,
        folder=out / "rows",
        restart=restart,
    )
    with connection(server, timeout=timeout, models=serve) as client:
        if limits.any and not baseline:
            raise InputError("a limit is on what changed since a baseline: name it with --baseline")
        dataset = load(data, split=split, root=data_root)
        images = dataset.images[:limit]
        names = _choose(client.models(), models, baseline, images.shape[1:], data)
        score.keywords["engine"] = _engine(engine, client, timeout, private=serve is not None)
        comparison = _score(score, client, names, dataset, images)
        paths = files.write_all(comparison.findings, _pictures(comparison), out)
        console = terminal.console()
        terminal.show(comparison.findings, console, baseline=baseline, equivalence_margin=equivalence_margin)
        columns.finish(out / "rows")
        outcome = _gate(comparison, baseline, limits, out, paths)
        typer.echo("\n" + "\n".join(map(str, paths)))
    raise typer.Exit(outcome)


def _choose(
    served: Sequence[ModelInfo], wanted: str, baseline: str | None, shape: tuple[int, ...], data: str
) -> list[str]:
    """The models asked for by name and the baseline; or all that fit the data, saying which do not.

    Raises:
        InputError: a name that is not served, or no model left.
    """
    faults = {model.name: scoring.misfit(model, shape) for model in served}
    asked = [name.strip() for name in wanted.split(",") if name.strip()]
    if wanted == "all":
        for name in filter(faults.get, faults):
            typer.echo(f"left out: model {name!r} {faults[name]}", err=True)
        asked = [name for name, fault in faults.items() if not fault]
    if not asked:
        raise InputError(f"no model to compare on {data}")
    names = list(dict.fromkeys([*asked, baseline] if baseline else asked))
    if unknown := [name for name in names if name not in faults]:
        raise InputError(f"not served: {', '.join(unknown)}; there are {', '.join(faults) or 'none'}")
    return names


def _engine(name: EngineName, client: Client, timeout: float, *, private: bool) -> Engine:
    if name is EngineName.LOCAL:
        return Local(client)
    from rdserve.compare.ray_engine import RayEngine

    return RayEngine(client.address, timeout=timeout, **({} if private else chosen_trust()))


def _score(
    score: "partial[Comparison]",
    client: Client,
    names: Sequence[str],
    dataset: Dataset,
    images: NDArray[np.bool_],
) -> Comparison:
    total = len(names) * len(images)
    with terminal.progress(f"scoring {len(names)} models", total, terminal.console(stderr=True)) as done:
        comparison = score(
            client,
            names,
            images,
            labels=None if dataset.labels is None else dataset.labels[: len(images)],
            data=Data(dataset.name, dataset.split, dataset.sha256),
            on_progress=lambda _, rows: done(rows),
        )
    for name, why in comparison.failures.items():
        typer.echo(f"left out: model {name!r} failed: {why}", err=True)
    return comparison


def _pictures(comparison: Comparison) -> pictures.Pictures | None:
    names = comparison.names
    with terminal.progress("drawing pictures", len(names), terminal.console(stderr=True)) as done:
        return pictures.take(comparison, on_progress=lambda _: done(1))


def _gate(
    comparison: Comparison, baseline: str | None, limits: Limits, out: Path, paths: list[Path]
) -> Outcome:
    """Say and write down whether the limits are kept, adding to `paths`; without limits they are."""
    if baseline is None or not limits.any:
        return Outcome.PASS
    checked = gate(comparison, baseline, limits)
    for check in checked.checks:
        typer.echo(f"{check.outcome.name.lower()}: {check.model}: {check.sentence}")
    written = {out / JUNIT: to_junit(checked), out / SUMMARY: to_markdown(checked)}
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    paths += written
    return checked.outcome
