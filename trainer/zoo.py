"""Train a whole zoo from a recipe, several models at once, one core each; what is done already stays.

A recipe is TOML:

    data = "digits"

    [settings]                  # fields of Config, for every model
    epochs = 100

    [[models]]                  # each family at each beta; further keys override the settings,
                                # and `suffix` is added to the names
    families = ["---", "-+v"]
    betas = [0.1, 1.0]
"""

import multiprocessing
import os
import signal
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from rdserve.models.card import Card
from rdserve.models.zoo import slug
from rdserve.trainer.config import Config, ConfigError, configure
from rdserve.trainer.train import Stopped, train


@dataclass(frozen=True)
class Entry:
    """One model of a zoo."""

    name: str
    config: Config


def read_recipe(path: Path) -> list[Entry]:
    """The models of a recipe, named like digits-mpv-b0.4.

    Raises:
        ConfigError: not a recipe, or two models with one name.
    """
    try:
        recipe = tomllib.loads(path.read_text())
        entries = [entry for group in recipe["models"] for entry in _entries(recipe, dict(group))]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ConfigError) as error:
        raise ConfigError(f"{path} is not a recipe: {error!r}") from error
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path} names two models {', '.join(twice)}; give one group a suffix")
    return entries


def _entries(recipe: dict[str, Any], group: dict[str, Any]) -> Iterator[Entry]:
    families, betas, suffix = group.pop("families"), group.pop("betas"), group.pop("suffix", "")
    for family in families:
        for beta in betas:
            config = configure(
                family, recipe["data"], **{**recipe.get("settings", {}), **group, "beta": beta}
            )
            yield Entry(f"{recipe['data']}-{slug(family)}-b{float(beta)}{suffix}", config)


def train_all(
    entries: list[Entry], folder: Path, *, jobs: int, device: str = "auto", data_root: Path | None = None
) -> Iterator[Card]:
    """Train every entry into folder/name, `jobs` at a time; each card as its model is done.

    Raises:
        TrainingError, ConfigError: as `train` does, for the first model that fails.
        Stopped: on Ctrl-C; every model under way has saved its state.
    """
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker) as pool:
        try:
            futures = [pool.submit(_train, entry, folder, device, data_root) for entry in entries]
            for future in as_completed(futures):
                yield future.result()
        except KeyboardInterrupt:
            raise Stopped(f"stopped; the models under way are saved in {folder}") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal; outside `train`, an idle worker has nothing to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot end its workers. What they lose is less than an epoch."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _train(entry: Entry, folder: Path, device: str, data_root: Path | None) -> Card:
    return train(entry.config, folder / entry.name, name=entry.name, device=device, data_root=data_root)
