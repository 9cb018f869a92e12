"""A run's course as JSON lines, for any tool that reads them."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rdserve.models.card import Card
from rdserve.models.reference import Means
from rdserve.trainer.config import Config
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import EpochMeans


class RunLog(TrainingProgress):
    """Adds a line to a file when a run begins or goes on, after each epoch, and when it ends.

    Each is written at once and whole, so that several runs may share a file. After a kill an epoch that was
    not saved yet is trained again, and stands there twice, alike.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = ""
        self._since = 0.0

    def began(self, name: str, config: Config, history: Sequence[EpochMeans]) -> None:
        self._name, self._since = name, time.monotonic()
        self._write("began", epoch=len(history), config=config.as_dict())

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self._write("epoch", epoch=epoch, train=_nats(train), valid=_nats(valid))

    def ended(self, card: Card) -> None:
        r = card.reference
        self._write("ended", **{r.split: _nats(Means(r.rate_nats, r.distortion_nats))})

    def _write(self, event: str, **facts: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        seconds = round(time.monotonic() - self._since, 3)
        line = json.dumps({"event": event, "name": self._name, "time": now, "seconds": seconds, **facts})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())


def _nats(means: Means) -> dict[str, float]:
    return {"rate_nats": means.rate, "distortion_nats": means.distortion, "elbo_nats": means.elbo}
