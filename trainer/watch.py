"""What runs may leave beside their checkpoints while they go: a log, event files, a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rdserve.models.card import Card
from rdserve.models.reference import Means
from rdserve.trainer.config import Config, ConfigError
from rdserve.trainer.curve import Curve
from rdserve.trainer.log import RunLog
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import EpochMeans


@dataclass(frozen=True)
class TrainingWatch:
    """log: file that gets JSON lines; tensorboard: folder of event files, one folder in it for each run;
    curve: whether each run draws itself in the rate-distortion plane, in its own folder."""

    log: Path | None = None
    tensorboard: Path | None = None
    curve: bool = False

    def require(self) -> None:
        """Say before training what it lacks.

        Raises:
            ConfigError: a package that is not installed.
        """
        if self.tensorboard and find_spec("tensorboardX") is None:
            raise ConfigError("event files need tensorboardX; pip install 'rdserve[tensorboard]'")
        if self.curve and find_spec("matplotlib") is None:
            raise ConfigError("the picture of a run needs matplotlib; pip install 'rdserve[compare]'")

    def watchers(self, folder: Path) -> Iterator[TrainingProgress]:
        """Of one run. folder: that run's."""
        if self.log:
            yield RunLog(self.log)
        if self.tensorboard:
            from rdserve.trainer.event_files import EventFiles

            yield EventFiles(self.tensorboard)
        if self.curve:
            yield Curve(folder)


class Together(TrainingProgress):
    """Tells each of several."""

    def __init__(self, *watchers: TrainingProgress) -> None:
        self._watchers = watchers

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        for each in self._watchers:
            each.began(name, config, history)

    def stepped(self, epoch: float, train: Means) -> None:
        for each in self._watchers:
            each.stepped(epoch, train)

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        for each in self._watchers:
            each.epoch_ended(epoch, train, valid)

    def ended(self, card: Card) -> None:
        for each in self._watchers:
            each.ended(card)
