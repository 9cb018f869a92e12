"""What runs tell while they go: nothing, or live bars, of two lines that fit 80 columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rdserve.models.card import Card
from rdserve.models.reference import Means
from rdserve.trainer.config import Config
from rdserve.trainer.run import EpochMeans
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

NAME_WIDTH, DONE_WIDTH = 28, 16


class TrainingProgress:
    """Told by the trainer; this one keeps quiet. Make one of your own to tell another tool."""

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        """Before the first step, here or after an interruption: what is trained, and the epochs done."""

    def stepped(self, epoch: float, train: Means) -> None:
        """After some of the steps: how many epochs are done, and the means of the one under way."""

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        """After each epoch: how many are done, and the means over it and over the validation split."""

    def ended(self, card: Card) -> None:
        """Once the checkpoint is written."""


class TrainingBar(TrainingProgress):
    """Live rate, distortion and ELBO below a progress bar. epoch: how many are done already."""

    def __init__(self, progress: Progress, title: str, n_epochs: int, epoch: float = 0) -> None:
        self._progress = progress
        fields = {"unit": "epoch", "train": "", "valid": ""}
        self._task = progress.add_task(title, total=n_epochs, completed=epoch, **fields)  # type: ignore[arg-type]

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)

    def stepped(self, epoch: float, train: Means) -> None:
        self._progress.update(self._task, completed=epoch, train=text("train", train))

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self._progress.update(self._task, valid=text("valid", valid))


def text(what: str, means: Means) -> str:
    """Three numbers, in nats: half a line."""
    return f"{what} R {means.rate:z6.2f} D {means.distortion:6.2f} ELBO {means.elbo:7.2f}"


class _TwoLines(Progress):
    """Each task's bar, and its numbers below."""

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if numbers := "  ".join(filter(None, (task.fields["train"], task.fields["valid"]))):
                yield Text(f"  {numbers}", no_wrap=True, overflow="ellipsis")


@contextmanager
def bar(title: str, config: Config, console: Console, *, epoch: float = 0) -> Iterator[TrainingProgress]:
    """A live bar where there is a terminal, a silent one elsewhere. epoch: how many are done already."""
    if not console.is_terminal:
        yield TrainingProgress()
        return
    with _TwoLines(*_columns(), console=console, transient=True) as progress:
        yield TrainingBar(progress, title, config.epochs, epoch)


class ZooProgress:
    """Told which models of a zoo are under way; this one keeps quiet."""

    def began(self, title: str, n_epochs: int) -> TrainingProgress:
        """What is to be told of this model's training."""
        return TrainingProgress()

    def ended(self, title: str) -> None:
        """However it ended."""


class ZooBars(ZooProgress):
    """A bar for all models, and one for each under way."""

    def __init__(self, progress: Progress, n_models: int) -> None:
        self._progress = progress
        self._all = progress.add_task("all", total=n_models, unit="model", train="", valid="")
        self._bars: dict[str, TrainingBar] = {}

    def began(self, title: str, n_epochs: int) -> TrainingProgress:
        self._bars[title] = TrainingBar(self._progress, title, n_epochs)
        return self._bars[title]

    def ended(self, title: str) -> None:
        if title in self._bars:
            self._bars.pop(title).close()
        self._progress.advance(self._all)


@contextmanager
def zoo_bars(n_models: int, console: Console) -> Iterator[ZooProgress]:
    """Live bars where there is a terminal, a silent one elsewhere."""
    if not console.is_terminal:
        yield ZooProgress()
        return
    with _TwoLines(*_columns(), console=console, transient=True) as progress:
        yield ZooBars(progress, n_models)


def _columns() -> list[ProgressColumn]:
    """Of one width in every line, so that bars stand below one another."""
    name = Column(no_wrap=True, width=NAME_WIDTH, overflow="ellipsis")
    done = Column(no_wrap=True, width=DONE_WIDTH)
    return [
        TextColumn("[bold]{task.description}", table_column=name),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[unit]} {task.completed:.4g} of {task.total}", table_column=done),
        TimeRemainingColumn(),
        TextColumn("left"),
    ]
