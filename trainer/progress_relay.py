"""What models under way in other processes tell, brought to the board of this one."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from multiprocessing.queues import Queue
from threading import Thread
from typing import NamedTuple

from rdserve.trainer.progress import TrainingProgress, ZooProgress
from rdserve.trainer.run import Means


class News(NamedTuple):
    """One call of a Watch. valid: at the end of an epoch."""

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
    """Where the board is. news: what reporters in other processes are to be given."""

    def __init__(self, board: ZooProgress, spawn: SpawnContext) -> None:
        self._board = board
        self._watches: dict[str, TrainingProgress] = {}
        self.news: Queue[News | None] = spawn.Queue()

    def began(self, title: str, n_epochs: int) -> None:
        """From now on the board hears of this model."""
        self._watches[title] = self._board.began(title, n_epochs)

    def ended(self, title: str) -> None:
        """From now on it does not."""
        self._watches.pop(title, None)
        self._board.ended(title)

    def listen(self) -> None:
        """Until a None comes."""
        for news in iter(self.news.get, None):
            watch = self._watches.get(news.title)
            if watch and news.valid:
                watch.epoch_ended(int(news.epoch), news.train, news.valid)
            elif watch:
                watch.stepped(news.epoch, news.train)


@contextmanager
def relay(board: ZooProgress, spawn: SpawnContext) -> Iterator[Relay]:
    """One that listens in a thread of its own."""
    here = Relay(board, spawn)
    thread = Thread(target=here.listen, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.news.put(None)
        thread.join()
