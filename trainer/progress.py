"""What a run tells while it goes: nothing, or a live bar."""

from collections.abc import Iterator
from contextlib import contextmanager

from rdserve.trainer.config import Config
from rdserve.trainer.run import Means
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Watch:
    """Told by the trainer; this one keeps quiet."""

    def stepped(self, epoch: float, train: Means) -> None:
        """After some of the steps: how many epochs are done, and the means of the one under way."""

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        """After each epoch: how many are done, and the means over it and over the validation split."""


class Bar(Watch):
    """Live rate, distortion and ELBO in a rich progress bar."""

    def __init__(self, progress: Progress, title: str, n_epochs: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=n_epochs, train="", valid="")

    def stepped(self, epoch: float, train: Means) -> None:
        self._progress.update(self._task, completed=epoch, train=text("train", train))

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self._progress.update(self._task, valid=text("valid", valid))


def text(what: str, means: Means) -> str:
    """One line of three numbers, in nats."""
    return f"{what} R {means.rate:6.2f} D {means.distortion:6.2f} ELBO {means.elbo:7.2f}"


@contextmanager
def bar(title: str, config: Config, console: Console) -> Iterator[Watch]:
    """A live bar where there is a terminal, a silent watch elsewhere."""
    if not console.is_terminal:
        yield Watch()
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("epoch {task.completed:.1f} of {task.total}"),
        TextColumn("{task.fields[train]}"),
        TextColumn("{task.fields[valid]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(progress, title, config.epochs)
