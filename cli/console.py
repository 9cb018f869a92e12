"""The terminal: its width, and progress with the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from rdserve.compare.render.terminal import WIDTH
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

# What is done sooner needs no line in a log.
QUIET_SECONDS = 20.0


def console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width, or WIDTH where the output is no terminal."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=WIDTH)


class ProgressLines:
    """What a log gets in place of a bar: a line once it takes long, then one for each quarter; five at most.

    now: seconds, of a clock that never goes back.
    """

    def __init__(
        self, title: str, total: int, say: Callable[[str], None], now: Callable[[], float] = monotonic
    ) -> None:
        self._title, self._total, self._say, self._now = title, total, say, now
        self._began, self._done, self._quarter = now(), 0, -1
        self._lock = Lock()

    def __call__(self, done: int) -> None:
        """So many units more are finished."""
        with self._lock:
            self._done += done
            seconds, share = self._now() - self._began, self._done / self._total
            if seconds < QUIET_SECONDS or share >= 1 or int(4 * share) <= self._quarter:
                return
            self._quarter = int(4 * share)
            left = duration(seconds * (1 - share) / share)
            self._say(f"{self._title}: {100 * share:.0f}% done, about {left} left")


def duration(seconds: float) -> str:
    """ "40 s", "5 min" or "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress(title: str, total: int, on: Console | None = None) -> Iterator[Callable[[int], None]]:
    """A bar for `total` units, or `ProgressLines` where there is no terminal. on: stderr, if not given.

    Yields the function that reports finished units, from any thread.
    """
    on = on or console(stderr=True)
    if not on.is_terminal:
        yield ProgressLines(title, total, lambda line: on.print(Text(line), soft_wrap=True))
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn(
            "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=40)
        ),
        BarColumn(bar_width=None),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("left", table_column=Column(no_wrap=True)),
        console=on,
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
