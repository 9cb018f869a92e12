"""What a folder holds of a run, so that `rdserve train --out FOLDER` needs nothing else to go on."""

from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from rdserve.data import read
from rdserve.models.card import CARD_FILE, read_card
from rdserve.trainer import resume
from rdserve.trainer.config import Config, ConfigError, parse


class SavedRun(NamedTuple):
    """A run, and how many of its epochs are done. name: of its checkpoint; None until there is one."""

    config: Config
    epoch: float
    name: str | None = None


def saved_run(folder: Path, data_root: Path | None = None) -> SavedRun | None:
    """Of the finished or unfinished run in a folder; None where there is none.

    Raises:
        ConfigError: a checkpoint of another trainer.
        StateError: the state cannot be read.
        DataError: its data are not at hand.
    """
    if (folder / CARD_FILE).is_file():
        return _finished(folder)
    path = folder / resume.FILE
    if not path.is_file():
        return None
    head = resume.read_head(path)
    config = parse(head["config"])
    n = len(read(config.data, root=data_root).x["train"])
    epoch, batch = divmod(head["step"], -(-n // config.batch_size))
    return SavedRun(config, epoch + batch * config.batch_size / n)


def _finished(folder: Path) -> SavedRun:
    card = read_card(folder)
    known = {field.name: card.training[field.name] for field in fields(Config) if field.name in card.training}
    try:
        config = parse(known)
    except ConfigError:
        raise ConfigError(
            f"{folder} holds a checkpoint {card.name} of another trainer. Train elsewhere"
        ) from None
    return SavedRun(config, config.epochs, card.name)
