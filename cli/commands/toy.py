"""The paper's exact experiment: `rdserve toy` trains and draws it; figure 2 comes from its checkpoints."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rdserve.cli.console import console, progress
from rdserve.compare.render.figures.toy import Panels, figure, table
from rdserve.models.card import CardError
from rdserve.models.card_parts import TrainedObjective
from rdserve.models.checkpoint import load
from rdserve.models.toy.laws import ToySource, hand_made, panels, toy_source
from rdserve.models.toy.vae import laws
from rdserve.trainer.toy import ToyResult, evaluate, train, write

# In the paper's order of columns, (a) to (c).
COLUMNS = {"toy-hand-made": "hand-made", "toy-elbo": "ELBO", "toy-target-rate": "target rate"}


def toy(
    target_rate: Annotated[float, typer.Option(min=0, help="Rate that the third model aims at, nats.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the random starts.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for toy.png and toy.json.")] = Path("report"),
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder for the three models, to be served like any others.")
    ] = None,
) -> None:
    """Show on exact tables what the ELBO hides: it ends with an empty code, a target rate does not.

    Takes about 5 minutes of one core.
    """
    data = toy_source()
    with progress("training", 100) as done:
        shown = 0

        def tell(step: int, total: int) -> None:
            nonlocal shown
            done(100 * step // total - shown)
            shown = 100 * step // total

        elbo, target = train(data, target_rate, seed=seed, on_step=tell)
    models = {
        "hand-made": evaluate(hand_made(), data),
        "ELBO": elbo,
        f"target rate {target_rate:g}": target,
    }
    out.mkdir(parents=True, exist_ok=True)
    columns = [_column(name, model, data) for name, model in models.items()]
    figure(columns).savefig(out / "toy.png", dpi=110)
    numbers = {name: m.numbers() for name, m in models.items()}
    facts = {"entropy_nats": data.entropy.item(), "class_information_nats": data.information.item()}
    (out / "toy.json").write_text(json.dumps({"seed": seed, **facts, "models": numbers}, indent=2) + "\n")
    console().print(table(numbers, facts["entropy_nats"]))
    if checkpoints is not None:
        write_all(checkpoints, list(models.values()), target_rate, seed)
    typer.echo(f"\n{out / 'toy.png'}\n{out / 'toy.json'}")


def write_all(folder: Path, models: Sequence[ToyResult], target_rate: float, seed: int) -> None:
    """The hand-made model, the ELBO's and the target rate's, in this order."""
    by_hand, elbo, target = (model.tables for model in models)
    write(by_hand, "toy-hand-made", TrainedObjective(name="none"), folder / "toy-hand-made")
    write(elbo, "toy-elbo", TrainedObjective(name="beta-vae"), folder / "toy-elbo", seed=seed)
    objective = TrainedObjective(name="target-rate")
    write(target, name := "toy-target-rate", objective, folder / name, seed=seed, target_rate=target_rate)
    typer.echo(f"{folder}: rdserve serve --models {folder}")


def figure_2(folder: Path) -> tuple[Figure | None, tuple[str, ...]]:
    """The columns whose checkpoints are there; a line for each that is not."""
    data, columns, missing = toy_source(), [], []
    for name, words in COLUMNS.items():
        try:
            model = evaluate(laws(load(folder / name)[1]), data)
        except CardError as error:
            missing.append(f"{name} ({error}); `rdserve toy --checkpoints {folder}` makes it")
            continue
        columns.append(_column(words, model, data))
    return figure(columns) if columns else None, tuple(missing)


def _column(title: str, model: ToyResult, data: ToySource) -> tuple[str, Panels]:
    stands = f"R = {model.rate:.4f}, D = {model.distortion:.4f} nats"
    return f"{title}\n{stands}", panels(model.tables, data)
