"""What models under way in other processes tell, brought to this one."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from multiprocessing.queues import Queue
from threading import Thread
from typing import NamedTuple

from rdserve.models.reference import Means
from rdserve.trainer.progress import TrainingProgress, ZooProgress


class News(NamedTuple):
    """One call of a `TrainingProgress`. valid: at the end of an epoch."""

    title: str
    epoch: float
    train: Means
    valid: Means | None = None


class Reporter(TrainingProgress):
    """Of one model, in the process that trains it."""

    def __init__(self, title: str, news: "Queue[News | None]") -> None:
        self._title, self._news = title, news
        news.cancel_join_thread()  # nobody's exit waits until all is told

    def stepped(self, epoch: float, train: Means) -> None:
        self._news.put(News(self._title, epoch, train))

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self._news.put(News(self._title, epoch, train, valid))


class Relay:
    """To `progress`, here. news: what reporters in other processes are to be given."""

    def __init__(self, progress: ZooProgress, spawn: SpawnContext) -> None:
        self._progress = progress
        self._under_way: dict[str, TrainingProgress] = {}
        self.news: Queue[News | None] = spawn.Queue()

    def began(self, title: str, n_epochs: int) -> None:
        """From now on this model is told of."""
        self._under_way[title] = self._progress.began(title, n_epochs)

    def ended(self, title: str) -> None:
        """From now on it is not."""
        self._under_way.pop(title, None)
        self._progress.ended(title)

    def listen(self) -> None:
        """Until a None comes."""
        for news in iter(self.news.get, None):
            model = self._under_way.get(news.title)
            if model and news.valid:
                model.epoch_ended(int(news.epoch), news.train, news.valid)
            elif model:
                model.stepped(news.epoch, news.train)


@contextmanager
def relay(progress: ZooProgress, spawn: SpawnContext) -> Iterator[Relay]:
    """One that listens in a thread of its own."""
    here = Relay(progress, spawn)
    thread = Thread(target=here.listen, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.news.put(None)
        thread.join()
