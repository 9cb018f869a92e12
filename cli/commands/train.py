"""`rdserve train` and `rdserve zoo`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rdserve.cli import exits
from rdserve.cli.options import Data, DataRoot, Preprocess
from rdserve.data.preprocessing import parse_text, words
from rdserve.models.card import CARD_FILE
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rdserve.models.card import Card
    from rdserve.trainer import Config
    from rdserve.trainer.recipe import RecipeEntry
    from rdserve.trainer.saved_run import SavedRun
    from rdserve.trainer.watch import TrainingWatch

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Jobs = Annotated[int, typer.Option(min=1, help="Models at once, each on one core.")]


# Of options, the settings that have another name.
_SETTINGS = {"lr": "learning_rate", "pseudo_inputs": "n_pseudo_inputs"}


@dataclass(frozen=True)
class TrainOptions:
    """Settings of `rdserve.trainer.Config`, and `size`; None: not given."""

    family: Annotated[
        str | None, typer.Option(help="Encoder, decoder, marginal, as --family=-+v; or sparse-, sparse+.")
    ] = None
    data: Data = None
    preprocess: Preprocess = None
    objective: Annotated[
        str | None, typer.Option(help="beta-vae, target-rate, geco, free-bits, info-vae or iwae.")
    ] = None
    beta: Annotated[float | None, typer.Option(help="Weight of the rate.")] = None
    annealing_epochs: Annotated[int | None, typer.Option(help="Beta rises from 0 over so many.")] = None
    target_rate: Annotated[float | None, typer.Option(help="Nats, of target-rate and geco.")] = None
    free_nats: Annotated[float | None, typer.Option(help="Of free-bits.")] = None
    info_alpha: Annotated[float | None, typer.Option(help="Of info-vae.")] = None
    info_lambda: Annotated[float | None, typer.Option(help="Of info-vae.")] = None
    importance_samples: Annotated[int | None, typer.Option(help="Of iwae, per image.")] = None
    epochs: Annotated[int | None, typer.Option()] = None
    batch_size: Annotated[int | None, typer.Option()] = None
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None
    schedule: Annotated[
        str | None, typer.Option(help="Of the learning rate: half-linear, constant, linear or cosine.")
    ] = None
    warmup_epochs: Annotated[float | None, typer.Option(help="The learning rate rises from 0.")] = None
    average_epochs: Annotated[
        float | None, typer.Option(help="Keep a moving average of the weights over so many; 0: none.")
    ] = None
    dropout: Annotated[float | None, typer.Option(help="In autoregressive decoders.")] = None
    optimiser: Annotated[str | None, typer.Option(help="normalised-adam or adam.")] = None
    keep: Annotated[str | None, typer.Option(help="last, or best on the validation split.")] = None
    size: Annotated[str | None, typer.Option(help="Of static-mnist and omniglot: paper or compact.")] = None
    width: Annotated[float | None, typer.Option(help="Factor on the paper's channels.")] = None
    latent_dim: Annotated[int | None, typer.Option()] = None
    pseudo_inputs: Annotated[int | None, typer.Option(help="Of a VampPrior.")] = None
    active_share: Annotated[float | None, typer.Option(help="Of sparse latents, a priori.")] = None
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None
    execution: Annotated[str | None, typer.Option(help="eager, or compile: networks by torch.compile.")] = (
        None
    )
    weights_dtype: Annotated[
        str | None, typer.Option(help="In which the weights are stored: float32 or float16.")
    ] = None
    seed: Annotated[int | None, typer.Option()] = None

    def given(self) -> dict[str, Any]:
        """By the settings' names.

        Raises:
            DataError: a step of preprocessing that is none.
        """
        given = {_SETTINGS.get(name, name): value for name, value in vars(self).items() if value is not None}
        if self.preprocess:
            given["preprocess"] = words(list(map(parse_text, self.preprocess)))
        return given


@dataclass(frozen=True)
class WatchOptions:
    """What runs leave while they go: the fields of `rdserve.trainer.watch.TrainingWatch`."""

    log: Annotated[
        Path | None, typer.Option(help="File that gets a line of JSON after each epoch; added to.")
    ] = None
    tensorboard: Annotated[Path | None, typer.Option(help="Folder that gets TensorBoard's event files.")] = (
        None
    )
    curve: Annotated[
        bool, typer.Option("--curve", help="Draw R against D as it goes, rate_distortion.png in its folder.")
    ] = False

    def watch(self) -> "TrainingWatch":
        """Raises ConfigError where a package for it is missing."""
        from rdserve.trainer.watch import TrainingWatch

        watch = TrainingWatch(**vars(self))
        watch.require()
        return watch


def train(
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, and for the state until then.")],
    options: TrainOptions,
    watch: WatchOptions,
    start: Annotated[Path | None, typer.Option(help="Checkpoint whose weights it starts from.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the model; the folder's name otherwise.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="A run from each, as 0..4 or 0,3,7, in folders NAME-s0 ... of --out.")
    ] = None,
    jobs: Jobs = 2,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Train a model, or go on with the run in the folder, for which --out is enough.

    What is not given is as in that run; in a new one, the data set's default. With --seeds, train the same
    from several; given again, the same command goes on.
    """
    if seeds is not None:
        with _failures_in_words(out):
            entries = _replicates(out, options, seeds, start, name, data_root)
        return _train_all(entries, out, jobs, device, data_root, watch)
    with _failures_in_words(out):
        from rdserve import trainer
        from rdserve.models.card import read_card
        from rdserve.trainer.progress import bar
        from rdserve.trainer.saved_run import saved_run
        from rdserve.trainer.watch import Together

        watchers = watch.watch().watchers(out)
        given = options.given() | ({"start": read_card(start).name} if start else {})
        there = saved_run(out, data_root)
        config = _configured(there, out, given, data_root)
        name = name or (there and there.name) or out.resolve().name
        if there and replace(there.config, epochs=config.epochs) == config:
            _say(_goes_on(there, config, out))
        with bar(name, config, console=_console(), epoch=there.epoch if there else 0) as shown:
            told = Together(shown, *watchers)
            card = trainer.train(
                config, out, name=name, device=device, data_root=data_root, start=start, progress=told
            )
    _console().print(_summary(card))
    _say(f"{out / CARD_FILE}; next: rdserve serve --models {out}")


def _configured(
    there: "SavedRun | None", out: Path, chosen: dict[str, Any], data_root: Path | None
) -> "Config":
    """What to train: what is chosen over the run in the folder, or over the data set's defaults.

    Raises:
        ConfigError: neither a run nor a family, or settings that cannot be.
    """
    from rdserve.trainer import ConfigError, configure
    from rdserve.trainer.config import parse

    if there and "size" not in chosen:
        return parse({**there.config.as_dict(), **chosen})
    if there:
        chosen = {"family": there.config.family, "data": there.config.data, **chosen}
    if "family" not in chosen:
        raise ConfigError(f"{out} holds no run to go on with; a new one needs a family, as --family=-+v")
    return configure(**{"data": "digits", **chosen}, data_root=data_root)


def _replicates(
    out: Path,
    options: TrainOptions,
    seeds: str,
    start: Path | None,
    name: str | None,
    data_root: Path | None,
) -> "list[RecipeEntry]":
    """One run for each seed, named NAME-s0 and so on.

    Raises:
        ConfigError: no such seeds, settings that cannot be, or options that say something else.
    """
    from rdserve.trainer import ConfigError
    from rdserve.trainer.config import require_name
    from rdserve.trainer.recipe import RecipeEntry, replicates
    from rdserve.trainer.resume import FILE
    from rdserve.trainer.seeds import parse_seeds

    if start or options.seed is not None:
        raise ConfigError("--seeds goes with neither --seed nor --start")
    if (out / CARD_FILE).is_file() or (out / FILE).is_file():
        raise ConfigError(f"{out} holds a single run; give --seeds a folder of its own")
    chosen = RecipeEntry(name or out.resolve().name, _configured(None, out, options.given(), data_root))
    entries = replicates(chosen, parse_seeds(seeds))
    require_name(entries[-1].name)
    return entries


def _goes_on(there: "SavedRun", config: "Config", out: Path) -> str:
    if there.name is not None:
        return f"{out} holds the checkpoint {there.name} already"
    return f"resuming at epoch {there.epoch:.4g} of {config.epochs}"


def zoo(
    recipe: Annotated[Path, typer.Argument(help="As zoo/digits.toml.")],
    watch: WatchOptions,
    out: Annotated[Path | None, typer.Option(help="Folder of the zoo; else beside the recipe.")] = None,
    jobs: Jobs = 2,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Train every model of a recipe that is not there yet. Exits 1 where one failed; the others are there."""
    folder = out or recipe.with_suffix("")
    with _failures_in_words(folder):
        from rdserve.trainer.recipe import read_recipe

        entries = read_recipe(recipe)
    _train_all(entries, folder, jobs, device, data_root, watch)


def _train_all(
    entries: "list[RecipeEntry]",
    folder: Path,
    jobs: int,
    device: str,
    data_root: Path | None,
    watch: WatchOptions,
) -> None:
    """Train what is not in the folder yet, and say where each stands. Exits 1 where one failed."""
    failed, console = False, _console()
    with _failures_in_words(folder):
        from rdserve.trainer.progress import zoo_bars
        from rdserve.trainer.recipe import Failed, train_all

        with zoo_bars(len(entries), console) as bars:
            outcomes = train_all(
                entries,
                folder,
                jobs=jobs,
                device=device,
                data_root=data_root,
                progress=bars,
                watch=watch.watch(),
            )
            for outcome in outcomes:
                if isinstance(outcome, Failed):
                    failed = True
                    console.print(f"[red]error:[/red] {outcome.name}: {outcome.why}")
                else:
                    console.print(_summary(outcome))
    if failed:
        raise typer.Exit(exits.Code.FAILED)


def _console() -> Console:
    return Console(stderr=True)


def _say(line: str) -> None:
    _console().print(line, soft_wrap=True, highlight=False, markup=False)


def _summary(card: "Card") -> str:
    r = card.reference
    return (
        f"{card.name}  {r.split} R {r.rate_nats:z.2f} ± {r.rate_standard_error_nats:.2f}  "
        f"D {r.distortion_nats:.2f} ± {r.distortion_standard_error_nats:.2f} nats"
    )


@contextmanager
def _failures_in_words(out: Path) -> Iterator[None]:
    """The message of an error that a user can do something about, and a code of `exits.Code`.

    out: where files are written.
    """
    from rdserve.data import DataError
    from rdserve.models.card import CardError
    from rdserve.trainer import ConfigError, Stopped, TrainingError
    from rdserve.trainer.resume import StateError
    from safetensors import SafetensorError

    try:
        with exits.writing(out):
            yield
    except Stopped as stopped:
        _console().print(f"{stopped}. The same command goes on from there.", soft_wrap=True, highlight=False)
        raise typer.Exit(exits.Code.INTERRUPTED) from None
    except TrainingError as error:
        _fail(str(error), exits.Code.FAILED)
    except (ConfigError, StateError, DataError, CardError) as error:
        _fail(exits.plain(str(error)), exits.Code.USAGE)
    except OSError as error:
        _fail(exits.in_words(error), exits.Code.IO)
    except SafetensorError as error:  # safetensors' own of a disk that is full
        _fail(f"{out}: {error}", exits.Code.IO)


def _fail(line: str, code: exits.Code) -> NoReturn:
    _console().print("[red]error:[/red]", escape(line), soft_wrap=True, highlight=False)
    raise typer.Exit(code) from None
