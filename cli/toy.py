"""`rdserve toy`: the paper's exact experiment, trained and drawn."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rdserve.trainer.toy import ToyResult


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
    from rdserve.compare.render import terminal
    from rdserve.compare.render.figures.toy import figure, table
    from rdserve.models.toy.laws import hand_made, panels, toy_source
    from rdserve.trainer.toy import evaluate, train

    data = toy_source()
    with terminal.progress("training", 100, terminal.console(stderr=True)) as done:
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
    columns = [
        (f"{name}\nR = {m.rate:.4f}, D = {m.distortion:.4f} nats", panels(m.tables, data))
        for name, m in models.items()
    ]
    figure(columns).savefig(out / "toy.png", dpi=110)
    numbers = {name: m.numbers() for name, m in models.items()}
    facts = {"entropy_nats": data.entropy.item(), "class_information_nats": data.information.item()}
    (out / "toy.json").write_text(json.dumps({"seed": seed, **facts, "models": numbers}, indent=2) + "\n")
    terminal.console().print(table(numbers, facts["entropy_nats"]))
    if checkpoints is not None:
        write_all(checkpoints, list(models.values()), target_rate, seed)
    typer.echo(f"\n{out / 'toy.png'}\n{out / 'toy.json'}")


def write_all(folder: Path, models: "list[ToyResult]", target_rate: float, seed: int) -> None:
    """The hand-made model, the ELBO's and the target rate's, in this order."""
    from rdserve.models.card import TrainedObjective
    from rdserve.trainer.toy import write

    by_hand, elbo, target = (model.tables for model in models)
    write(by_hand, "toy-hand-made", TrainedObjective(name="none"), folder / "toy-hand-made")
    write(elbo, "toy-elbo", TrainedObjective(name="beta-vae"), folder / "toy-elbo", seed=seed)
    objective = TrainedObjective(name="target-rate")
    write(target, name := "toy-target-rate", objective, folder / name, seed=seed, target_rate=target_rate)
    typer.echo(f"{folder}: rdserve serve --models {folder}")
