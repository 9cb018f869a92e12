"""TorchServe's Java process: its life and death."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from rdserve.server.backends.torchserve import config
from rdserve.server.backends.torchserve.config import TorchServeError
from rdserve.server.settings import Settings

log = logging.getLogger("rdserve.torchserve")

STARTED = b"Model server started."
# The thread is named after its model: W-9000-NAME_VERSION.
WORKER_FAILED = re.compile(rb"WorkerThread \[W-\d+-(.+)_[^_]+?(?:-stdout|-stderr)?\] Backend worker error")


class TorchServeProcess:
    """One TorchServe frontend, and through it its workers, in a process group of its own.

    Everything it writes lies in `folder`; it listens on a Unix socket there, and its gRPC ports,
    which cannot be closed, are random, on loopback, and want a token that only `folder` holds;
    unless `properties`, more of its configuration, say otherwise.
    """

    def __init__(
        self,
        folder: Path,
        store: Path,
        settings: Settings,
        on_end: Callable[[str], None],
        properties: Mapping[str, str | int] | None = None,
    ) -> None:
        self.folder = folder
        self._store = store
        self._settings = settings
        self._on_end = on_end
        self._properties = properties or {}
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        # Workers of each model that ended on their way up, or later.
        self.failures: Counter[str] = Counter()
        self._tail: deque[str] = deque(maxlen=20)
        self._started = asyncio.Event()
        self._asked = False  # to stop

    async def start(self) -> None:
        """Return when the frontend listens. `on_end` gets its last words if it ends unasked after that.

        Raises:
            TorchServeError: no Java, or it stopped, or it took too long.
        """
        self._clear()
        file = config.write(self.folder, self._store, self._settings, self._properties)
        self._process = await asyncio.create_subprocess_exec(
            *config.command(self.folder, file),
            cwd=self.folder,
            env=config.environment(self.folder, self._settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must reach the front only, which drains first
        )
        self._started = asyncio.Event()
        self._output = asyncio.create_task(self._read(self._process, self._started))
        await self._until_started()

    async def stop(self, within: float) -> None:
        """End the frontend and every worker, after `within` seconds by force; return when none is left."""
        if self._process is None:
            return
        self._asked = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), timeout=within)
        except TimeoutError:
            log.warning("TorchServe ignored SIGTERM for %.0f s; killing it", within)
        self.kill()
        await self._process.wait()
        if self._output is not None:
            await self._output

    def kill(self) -> None:
        """End the frontend and every worker, now."""
        if self._process is not None:
            _kill_group(self._process)

    def _clear(self) -> None:
        """Remove what a frontend that was killed leaves in the folder: it would not start over that."""
        for name in ("logs", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for socket in self.folder.glob("*.sock"):
            socket.unlink()

    async def _until_started(self) -> None:
        assert self._output is not None
        started = asyncio.create_task(self._started.wait())
        timeout = self._settings.start_timeout_seconds
        await asyncio.wait({started, self._output}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not self._started.is_set():
            fate = "stopped" if self._output.done() else f"did not start within {timeout} s"
            await self.stop(within=1)
            raise TorchServeError(f"TorchServe {fate}; its last words:\n" + "\n".join(self._tail))

    async def _read(self, process: asyncio.subprocess.Process, started: asyncio.Event) -> None:
        assert process.stdout is not None
        async for raw in _lines(process.stdout):
            if STARTED in raw:
                started.set()
                continue
            if failed := WORKER_FAILED.search(raw):
                self.failures[failed[1].decode(errors="replace")] += 1
            line = raw.decode(errors="replace").rstrip()
            self._tail.append(line)
            log.warning("%s", line) if started.is_set() else log.info("%s", line)
        await process.wait()
        if started.is_set() and not self._asked:
            _kill_group(process)  # its workers
            self._on_end("\n".join(self._tail))


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # a line beyond the buffer: drop it
            continue
        if not line:
            return
        yield line
