"""`rdserve figures`: the paper's figures, of a served zoo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli import study_inputs
from rdserve.cli.connection import Trust, connection
from rdserve.cli.options import ADDRESS, DataRoot, Serve, Server, Split, Timeout
from rdserve.compare.render.figures import plane
from rdserve.study.figures.draw import NAMES, SERVED, Drawn, draw_all, models_of
from rdserve.study.zoo_scores import ScoredModel, ScoredZoo
from rdserve.zoo import TOY

Images = Annotated[int, typer.Option(min=2, help="Images reconstructed to tell a model's category.")]


def figures(
    trust: Trust,
    data: Annotated[str, typer.Option(help="digits, static-mnist or omniglot.")] = "digits",
    split: Split = "test",
    limit: study_inputs.Limit = None,
    data_root: DataRoot = None,
    only: Annotated[str, typer.Option(help=f"Some of {', '.join(NAMES)}; divided by commas.")] = "all",
    images: Images = 100,
    toy: Annotated[
        Path | None, typer.Option(help="Folder of the toy's checkpoints, for figure 2; else rdserve's own.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("report"),
    work: study_inputs.Work = study_inputs.WORK,
    server: Server = ADDRESS,
    serve: Serve = None,
    timeout: Timeout = 600.0,
) -> None:
    """Draw figures 2 to 6 of the paper from a served zoo, each as SVG and PNG; say what the zoo lacks."""
    names = chosen_names(only)
    with connection(server, trust, timeout=timeout, models=serve) as client:
        out.mkdir(parents=True, exist_ok=True)
        if "2" in names:
            from rdserve.cli.commands.toy import figure_2

            _write(Drawn("figure-2", *figure_2(toy or TOY)), out, "")
        if not set(names) & set(SERVED):
            return
        zoo = study_inputs.scored(client, data, split, root=data_root, limit=limit, folder=work)
        shown = models_of(zoo, names)
        classifier = study_inputs.trained_classifier(data, data_root) if shown else None
        few = study_inputs.few(zoo.examples, images)
        categorised = study_inputs.categorised(client, shown, few, classifier) if shown else {}
        for drawn in draw_all(client, zoo, categorised, names):
            _write(drawn, out, signature(zoo))


def chosen_names(only: str) -> Sequence[str]:
    """Of --only. Raises typer.BadParameter for what is no figure."""
    names = NAMES if only == "all" else [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in NAMES]:
        raise typer.BadParameter(f"no figure {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return names


def signature(zoo: ScoredZoo) -> str:
    """One line that says what the numbers of a figure depend on."""

    def one(model: ScoredModel) -> str:
        return f"{model.name}@{model.info.weights_sha256[:12]} seed {model.seed} K {model.row.n_samples}"

    data = zoo.examples.dataset
    return f"{data.name}@{data.sha256[:12]} ({zoo.examples.words}); " + ", ".join(map(one, zoo.all))


def _write(drawn: Drawn, out: Path, signature: str) -> None:
    for lacking in drawn.missing:
        typer.echo(f"{drawn.stem}: not in the zoo: {lacking}", err=True)
    if drawn.figure is None:
        typer.echo(f"{drawn.stem}: not drawn, none of its models is in the zoo", err=True)
        return
    for suffix in (".svg", ".png"):
        path = out / f"{drawn.stem}{suffix}"
        plane.save(drawn.figure, path, signature)
        typer.echo(path)
