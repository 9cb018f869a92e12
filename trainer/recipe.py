"""Train a whole zoo from a recipe, several models at once, one core each; what is done already stays.

A recipe is TOML:

    data = "static-mnist"       # or the path of your own
    size = "compact"            # if the data set has sizes

    [settings]                  # fields of Config, for every model
    epochs = 100

    [[models]]                  # each family at each beta; further keys override the settings,
                                # and `suffix` is added to the names
    families = ["---", "-+v"]
    betas = [1.0]

    [[models]]                  # each from several seeds, -s0 to -s4 added to the names; or a list
    families = ["---"]
    betas = [0.4]
    seeds = "0..4"

    [[models]]                  # from where another model of the recipe ended, the same family at
    families = ["-+v"]          # that beta and suffix
    betas = [0.1, 1.1]
    start = "b1.0"
"""

import multiprocessing
import os
import re
import signal
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing.queues import Queue
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import torch
from rdserve.data import NAMES
from rdserve.models.card import CARD_FILE, Card
from rdserve.models.families import slug
from rdserve.trainer.config import Config, ConfigError, configure
from rdserve.trainer.progress import ZooProgress
from rdserve.trainer.progress_relay import News, Reporter, relay
from rdserve.trainer.resume import StateError
from rdserve.trainer.seeds import parse_seeds
from rdserve.trainer.train import Stopped, TrainingError, train
from rdserve.trainer.watch import Together, TrainingWatch

# In a worker: where to tell of its models.
_news: "Queue[News | None] | None" = None


@dataclass(frozen=True)
class RecipeEntry:
    """One model of a zoo."""

    name: str
    config: Config


@dataclass(frozen=True)
class Failed:
    """A model without a checkpoint, and why in words."""

    name: str
    why: str


def read_recipe(path: Path) -> list[RecipeEntry]:
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
    if unknown := sorted({entry.config.start for entry in entries} - {"", *names}):
        raise ConfigError(f"{path} starts models from {', '.join(unknown)}, which it does not name")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path} names two models {', '.join(twice)}; give one group a suffix")
    return entries


def _entries(recipe: dict[str, Any], group: dict[str, Any]) -> Iterator[RecipeEntry]:
    families, betas, suffix = group.pop("families"), group.pop("betas"), group.pop("suffix", "")
    seeds = parse_seeds(group.pop("seeds")) if "seeds" in group else None
    given = {"size": recipe.get("size"), **recipe.get("settings", {}), **group}
    for beta, family in product(betas, families):
        stem = f"{stem_of(recipe['data'])}-{slug(family)}"
        start = {"start": f"{stem}-{group['start']}"} if "start" in group else {}
        config = configure(family, recipe["data"], **{**given, **start, "beta": beta})
        entry = RecipeEntry(f"{stem}-b{float(beta)}{suffix}", config)
        yield from [entry] if seeds is None else replicates(entry, seeds)


def replicates(entry: RecipeEntry, seeds: Sequence[int]) -> list[RecipeEntry]:
    """The same from each seed, which its name tells."""
    return [RecipeEntry(f"{entry.name}-s{seed}", replace(entry.config, seed=seed)) for seed in seeds]


def stem_of(data: str) -> str:
    """What names of models begin with: the data set's name, or that of one's own file as names allow it."""
    return data if data in NAMES else re.sub(r"[^A-Za-z0-9_-]+", "-", Path(data).stem).strip("-_") or "own"


def train_all(
    entries: list[RecipeEntry],
    folder: Path,
    *,
    jobs: int,
    device: str = "auto",
    data_root: Path | None = None,
    progress: ZooProgress | None = None,
    watch: TrainingWatch | None = None,
) -> Iterator[Card | Failed]:
    """Train every entry into folder/name, `jobs` at a time; each card as its model is done.

    progress: told, in a thread of its own, how far each model is. watch: what each leaves while it goes.
    Next is always the first entry whose start is there. A model that fails leaves the others alone.

    Raises:
        Stopped: on Ctrl-C or SIGTERM; every model under way has saved its state.
    """
    waiting, under_way = list(entries), dict[Future[Card], RecipeEntry]()
    spawn = multiprocessing.get_context("spawn")
    with (
        _sigterm_for_all(),
        relay(progress or ZooProgress(), spawn) as told,
        ProcessPoolExecutor(jobs, spawn, _start_worker, (told.news,)) as pool,
    ):
        try:
            while waiting or under_way:
                ready = [entry for entry in waiting if _may_start(entry, folder)]
                for entry in ready[: jobs - len(under_way)]:
                    waiting.remove(entry)
                    told.began(entry.name, entry.config.epochs)
                    under_way[
                        pool.submit(_train, entry, folder, device, data_root, watch or TrainingWatch())
                    ] = entry
                if not under_way:
                    yield from (Failed(each.name, f"there is no {each.config.start}") for each in waiting)
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    entry = under_way.pop(future)
                    told.ended(entry.name)
                    yield _outcome(future, entry)
        except KeyboardInterrupt:
            raise Stopped(f"stopped; the models under way are saved in {folder}") from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _sigterm_for_all() -> Iterator[None]:
    """Within, SIGTERM goes to the workers too, and is then what Ctrl-C is (which they get by themselves)."""
    if current_thread() is not main_thread():
        yield
        return

    def pass_on(number: int, frame: object) -> None:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _outcome(future: Future[Card], entry: RecipeEntry) -> Card | Failed:
    try:
        return future.result()
    except (TrainingError, ConfigError, StateError) as error:
        return Failed(entry.name, str(error))


def _may_start(entry: RecipeEntry, folder: Path) -> bool:
    """Whether what it starts from is there."""
    return not entry.config.start or (folder / entry.config.start / CARD_FILE).is_file()


def _start_worker(news: "Queue[News | None]") -> None:
    global _news
    _news = news
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


def _train(
    entry: RecipeEntry, folder: Path, device: str, data_root: Path | None, watch: TrainingWatch
) -> Card:
    start = folder / entry.config.start if entry.config.start else None
    assert _news
    return train(
        entry.config,
        folder / entry.name,
        name=entry.name,
        device=device,
        data_root=data_root,
        start=start,
        progress=Together(Reporter(entry.name, _news), *watch.watchers(folder / entry.name)),
    )
