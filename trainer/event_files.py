"""TensorBoard's event files, by tensorboardX, which needs neither TensorFlow nor TensorBoard."""

import json
from collections.abc import Sequence
from pathlib import Path

from rdserve.models.card import Card
from rdserve.models.reference import Means
from rdserve.trainer.config import Config
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import EpochMeans
from tensorboardX import SummaryWriter


class EventFiles(TrainingProgress):
    """Rate, distortion and ELBO of both splits over epochs, in folder/NAME; the config as a text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        self._writer = SummaryWriter(str(self._folder / name))
        self._writer.add_text("config", f"```\n{json.dumps(config.as_dict(), indent=1)}\n```", len(history))

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        for split, means in (("train", train), ("valid", valid)):
            self._add(split, means, epoch)
        self._writer.flush()

    def ended(self, card: Card) -> None:
        r = card.reference
        self._add(r.split, Means(r.rate_nats, r.distortion_nats), int(card.training["kept_epoch"]))
        self._writer.close()

    def _add(self, split: str, means: Means, epoch: int) -> None:
        for quantity in ("rate", "distortion", "elbo"):
            self._writer.add_scalar(f"{quantity}/{split}", getattr(means, quantity), epoch)
