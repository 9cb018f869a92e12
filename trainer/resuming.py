"""What a folder holds of a run, so that `rdserve train --out FOLDER` needs nothing else to go on."""

import json
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from rdserve.data import load
from rdserve.models.card import CARD_FILE, read_card
from rdserve.trainer import resume
from rdserve.trainer.config import Config, ConfigError, parse
from safetensors import SafetensorError, safe_open


class Standing(NamedTuple):
    """A run, and how many of its epochs are done. name: of its checkpoint; None until there is one."""

    config: Config
    epoch: float
    name: str | None = None


def standing(folder: Path, data_root: Path | None = None) -> Standing | None:
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
    try:
        with safe_open(path, "pt") as file:
            head = json.loads((file.metadata() or {}).get("rdserve", "{}"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise resume.StateError(f"{path} is damaged ({error}); delete it to start again") from error
    if head.get("format") != resume.FORMAT:
        raise resume.StateError(f"{path} has format {head.get('format')!r}, not {resume.FORMAT!r}")
    config = parse(head["config"])
    n = len(load(config.data, split="train", root=data_root).images)
    epoch, batch = divmod(head["step"], -(-n // config.batch_size))
    return Standing(config, epoch + batch * config.batch_size / n)


def _finished(folder: Path) -> Standing:
    card = read_card(folder)
    known = {field.name: card.training[field.name] for field in fields(Config) if field.name in card.training}
    try:
        config = parse(known)
    except ConfigError:
        raise ConfigError(
            f"{folder} holds a checkpoint {card.name} of another trainer. Train elsewhere"
        ) from None
    return Standing(config, config.epochs, card.name)
