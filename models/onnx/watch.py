"""Ends runs of graphs that nobody waits for: a graph may compute for ever, and has no joints to ask at."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import onnxruntime as ort
from rdserve.models.cancellation import Unwanted, check, unwanted

# How late an unwanted run ends. Asking costs a look at the file system.
EVERY_SECONDS = 0.05


@dataclass(eq=False)
class WatchedRun:
    """A run under way."""

    options: ort.RunOptions
    unwanted: Unwanted
    ended: bool = False


class Watch:
    """One thread for all runs of a process, started by the first."""

    def __init__(self) -> None:
        self._runs: set[WatchedRun] = set()
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, options: ort.RunOptions) -> Iterator[WatchedRun]:
        """While this is open, the run of those options ends soon after nobody waits for it.

        Raises:
            Abandoned: nobody waits already.
        """
        check()
        run = WatchedRun(options, unwanted())
        with self._some:
            self._runs.add(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="onnx-watch", daemon=True)
                self._thread.start()
            elif len(self._runs) == 1:
                self._some.notify()
        try:
            yield run
        finally:
            with self._some:
                self._runs.discard(run)

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            with self._some:
                self._some.wait_for(lambda: bool(self._runs))
            pause.wait(EVERY_SECONDS)
            with self._some:
                runs = list(self._runs)
            for run in runs:
                if not run.ended and run.unwanted():
                    run.ended = True
                    run.options.terminate = True


WATCH = Watch()
