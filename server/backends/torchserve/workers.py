"""Worker processes: the end of each is heard at once, though TorchServe starts them, and starts them again.

Where there is no pidfd (Linux has them), a worker's end shows at the next call or question.
"""

import asyncio
import os
import select
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from time import monotonic

from rdserve.server.backends.base import LoadError
from rdserve.server.settings import Settings

# A worker may be unlucky once.
MAX_STARTS = 2
POLL_SECONDS = 0.05
# For workers that nobody waits for.
PATIENT_POLL_SECONDS = 0.5


class Workers:
    """Every model's workers, from their way up to their end, which `on_end(model)` hears of at once.

    ready: process ids of a model's workers that TorchServe takes for ready; raises LoadError.
    failures: starts of each model's workers that failed, counted by whoever reads TorchServe's log.
    """

    def __init__(
        self,
        settings: Settings,
        ready: Callable[[str], Awaitable[list[int]]],
        failures: Counter[str],
        on_end: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._ready = ready
        self._failures = failures
        self._on_end = on_end
        self._processes = Processes(self._ended)
        self._meeting: dict[str, asyncio.Task[None]] = {}

    async def until_up(self, model: str, *, patience: float = inf) -> None:
        """Return when a worker of the model is ready.

        patience: seconds that TorchServe may take to answer, and to notice that a worker which it calls
            ready has ended; it does not always.

        Raises:
            LoadError: workers end on their way up, or take too long.
        """
        before, begun, most = self._failures[model], monotonic(), self._settings.load_timeout_seconds
        while not self._processes.know(model, ready := await self._ready_within(model, min(patience, most))):
            if (ended := self._failures[model] - before) >= MAX_STARTS:
                raise LoadError(f"its worker ended {ended} times on its way up; the log has the reason")
            if ready and monotonic() > begun + patience:
                raise LoadError(f"TorchServe has not noticed within {patience:g} s that its worker ended")
            if monotonic() > begun + most:
                raise LoadError(f"no worker came up within {most} s")
            await asyncio.sleep(POLL_SECONDS)
        if self._settings.workers > 1:
            self._meet(model)

    def forget(self, model: str) -> None:
        """Its workers may end from now on."""
        if meeting := self._meeting.pop(model, None):
            meeting.cancel()
        self._processes.forget(model)

    def forget_all(self) -> None:
        """All of them may end from now on."""
        for model in list(self._meeting):
            self.forget(model)
        self._processes.forget_all()

    async def _ready_within(self, model: str, seconds: float) -> list[int]:
        try:
            async with asyncio.timeout(seconds):
                return await self._ready(model)
        except TimeoutError:
            raise LoadError(f"TorchServe has not told its workers within {seconds:g} s") from None

    def _ended(self, model: str) -> None:
        self._meet(model)
        self._on_end(model)

    def _meet(self, model: str) -> None:
        """Get to know the workers that are still on their way up, or will be."""
        if model not in self._meeting:
            self._meeting[model] = asyncio.create_task(self._until_all_up(model))

    async def _until_all_up(self, model: str) -> None:
        end = monotonic() + self._settings.load_timeout_seconds
        try:
            while monotonic() < end:
                await asyncio.sleep(PATIENT_POLL_SECONDS)
                if self._processes.know(model, await self._ready(model)) >= self._settings.workers:
                    return
        except LoadError:  # whoever loads the model again gets to know its workers
            return
        finally:
            if self._meeting.get(model) is asyncio.current_task():
                del self._meeting[model]


class Processes:
    """Processes of each model. `on_end(model)` is called for each that ends while it is known."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        # Model -> process id -> its pidfd; None where it cannot be watched.
        self._known: dict[str, dict[int, int | None]] = defaultdict(dict)

    def know(self, model: str, ids: Iterable[int]) -> int:
        """Watch these processes; how many of them have not ended."""
        known, alive = self._known[model], 0
        for each in ids:
            if each not in known:
                try:
                    known[each] = pidfd = _open(each)
                except ProcessLookupError:
                    continue
                if pidfd is not None:
                    asyncio.get_running_loop().add_reader(pidfd, self._ended, model, each)
            alive += 1
        return alive

    def forget(self, model: str) -> None:
        """Its processes may end from now on."""
        for each in list(self._known[model]):
            self._close(model, each)

    def forget_all(self) -> None:
        """All of them may end from now on."""
        for model in list(self._known):
            self.forget(model)

    def _ended(self, model: str, each: int) -> None:
        self._close(model, each)
        self._on_end(model)

    def _close(self, model: str, each: int) -> None:
        if (pidfd := self._known[model].pop(each)) is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)


def _open(process_id: int) -> int | None:
    """A file that is readable once the process has ended; None where there is no such thing.

    Raises:
        ProcessLookupError: it has ended already, even if nobody has asked for its exit code yet.
    """
    if sys.platform != "linux":
        return None
    try:
        pidfd = os.pidfd_open(process_id)
    except ProcessLookupError:
        raise
    except OSError:  # no such call in this kernel, or no file left
        return None
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    if ended.poll(0):
        os.close(pidfd)
        raise ProcessLookupError
    return pidfd
