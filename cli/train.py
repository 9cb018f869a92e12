"""`rdserve train` and `rdserve zoo`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rdserve.models.card import Card

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
DataRoot = Annotated[
    Path | None, typer.Option(help="Folder with the data set's files, where it is not embedded.")
]


def train(
    family: Annotated[
        str, typer.Option(help="Encoder, decoder, marginal, as --family=-+v; or sparse-, sparse+.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, and for the state until then.")],
    data: Annotated[str, typer.Option(help="digits or static-mnist.")] = "digits",
    objective: Annotated[
        str | None, typer.Option(help="beta-vae, target-rate, geco, free-bits, info-vae or iwae.")
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the rate.")] = None,
    annealing_epochs: Annotated[int | None, typer.Option(help="Beta rises from 0 over so many.")] = None,
    target_rate: Annotated[float | None, typer.Option(help="Nats, of target-rate and geco.")] = None,
    free_nats: Annotated[float | None, typer.Option(help="Of free-bits.")] = None,
    info_alpha: Annotated[float | None, typer.Option(help="Of info-vae.")] = None,
    info_lambda: Annotated[float | None, typer.Option(help="Of info-vae.")] = None,
    importance_samples: Annotated[int | None, typer.Option(help="Of iwae, per image.")] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Of the learning rate: half-linear, constant, linear or cosine.")
    ] = None,
    warmup_epochs: Annotated[float | None, typer.Option(help="The learning rate rises from 0.")] = None,
    average_epochs: Annotated[
        float | None, typer.Option(help="Keep a moving average of the weights over so many; 0: none.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="In autoregressive decoders.")] = None,
    optimiser: Annotated[str | None, typer.Option(help="normalised-adam or adam.")] = None,
    keep: Annotated[str | None, typer.Option(help="last, or best on the validation split.")] = None,
    size: Annotated[str | None, typer.Option(help="Of static-mnist: paper or compact.")] = None,
    width: Annotated[float | None, typer.Option(help="Factor on the paper's channels.")] = None,
    latent_dim: Annotated[int | None, typer.Option()] = None,
    pseudo_inputs: Annotated[int | None, typer.Option(help="Of a VampPrior.")] = None,
    active_share: Annotated[float | None, typer.Option(help="Of sparse latents, a priori.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    execution: Annotated[
        str | None, typer.Option(help="eager, or compile: networks by torch.compile.")
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    start: Annotated[Path | None, typer.Option(help="Checkpoint whose weights it starts from.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the model; the folder's name otherwise.")] = None,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Train a model, or go on with the run in the folder. What is not given is the data set's default."""
    given: dict[str, Any] = {
        "objective": objective,
        "beta": beta,
        "target_rate": target_rate,
        "free_nats": free_nats,
        "info_alpha": info_alpha,
        "info_lambda": info_lambda,
        "importance_samples": importance_samples,
        "annealing_epochs": annealing_epochs,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "schedule": schedule,
        "warmup_epochs": warmup_epochs,
        "average_epochs": average_epochs,
        "dropout": dropout,
        "optimiser": optimiser,
        "keep": keep,
        "width": width,
        "latent_dim": latent_dim,
        "n_pseudo_inputs": pseudo_inputs,
        "active_share": active_share,
        "precision": precision,
        "execution": execution,
        "size": size,
        "seed": seed,
    }
    with _failures_in_words():
        from rdserve import trainer
        from rdserve.models.card import read_card
        from rdserve.trainer.progress import bar

        began = read_card(start).name if start else None
        config = trainer.configure(family, data, start=began, **given)
        name = name or out.resolve().name
        with bar(name, config, console=_console()) as watch:
            card = trainer.train(
                config, out, name=name, device=device, data_root=data_root, start=start, watch=watch
            )
    _console().print(_summary(card))


def zoo(
    recipe: Annotated[Path, typer.Argument(help="As zoo/digits.toml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the zoo; else beside the recipe.")] = None,
    jobs: Annotated[int, typer.Option(help="Models at once, each on one core.")] = 2,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Train every model of a recipe that is not there yet. Exits 1 where one failed; the others are there."""
    failed, console = False, _console()
    with _failures_in_words():
        from rdserve.trainer.progress import board
        from rdserve.trainer.zoo import Failed, read_recipe, train_all

        entries, folder = read_recipe(recipe), out or recipe.with_suffix("")
        with board(len(entries), console) as bars:
            for outcome in train_all(
                entries, folder, jobs=jobs, device=device, data_root=data_root, board=bars
            ):
                if isinstance(outcome, Failed):
                    failed = True
                    console.print(f"[red]error:[/red] {outcome.name}: {outcome.why}")
                else:
                    console.print(_summary(outcome))
    if failed:
        raise typer.Exit(1)


def _console() -> Console:
    return Console(stderr=True)


def _summary(card: "Card") -> str:
    r = card.reference
    return (
        f"{card.name}  {r.split} R {r.rate_nats:.2f} ± {r.rate_standard_error_nats:.2f}  "
        f"D {r.distortion_nats:.2f} ± {r.distortion_standard_error_nats:.2f} nats"
    )


@contextmanager
def _failures_in_words() -> Iterator[None]:
    """Exit 1 with the message of an error that a user can do something about; 130 after Ctrl-C."""
    from rdserve.data import DataError
    from rdserve.models.card import CardError
    from rdserve.trainer import ConfigError, Stopped, TrainingError
    from rdserve.trainer.state import StateError

    try:
        yield
    except Stopped as stopped:
        _console().print(f"{stopped}. The same command goes on from there.", soft_wrap=True, highlight=False)
        raise typer.Exit(130) from None
    except (TrainingError, ConfigError, StateError, DataError, CardError) as error:
        _console().print(f"[red]error:[/red] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
