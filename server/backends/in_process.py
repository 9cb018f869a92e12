"""Models in the process of the front."""

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector
from rdserve.server.backends.base import LoadError, OnDown
from rdserve.server.errors import BackendUnavailable
from rdserve.server.repository.archive import Archive
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import OnLoss

if TYPE_CHECKING:
    from rdserve.models.worker.worker import Worker


class InProcessBackend:
    """Models in this process, each with its own threads: no Java, one failure domain."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: dict[str, tuple[Worker, ThreadPoolExecutor]] = {}

    def subscribe(self, on_down: OnDown, on_loss: OnLoss) -> None:
        """Threads do not end by themselves."""

    def collectors(self) -> Sequence[Collector]:
        return ()

    async def start(self) -> None:
        await asyncio.to_thread(_import_torch, self._settings.threads)

    async def load(self, archive: Archive) -> None:
        try:
            worker = await asyncio.to_thread(_load, archive, self._settings)
        except Exception as error:
            raise LoadError(f"{type(error).__name__}: {error}") from error
        threads = ThreadPoolExecutor(self._settings.workers, thread_name_prefix=archive.card.name)
        self._workers[archive.card.name] = (worker, threads)

    async def healed(self, model: str) -> None:
        """As `subscribe`."""

    async def call(self, model: str, work: bytes) -> bytes:
        if model not in self._workers:
            raise BackendUnavailable(f"model {model!r} is not loaded")
        worker, threads = self._workers[model]
        replies = await asyncio.get_running_loop().run_in_executor(threads, worker.work, [work])
        return replies[0]

    async def stop(self, *, within: float = 10.0) -> None:
        for _, threads in self._workers.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def kill(self) -> None:
        """Threads end with the process."""


def _import_torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _load(archive: Archive, settings: Settings) -> "Worker":
    import torch
    from rdserve.models.execution.config import ExecutionConfig
    from rdserve.models.worker.worker import Worker

    how = ExecutionConfig(
        torch.device("cuda" if settings.gpus else "cpu"), settings.precision, execution=settings.execution
    )
    with tempfile.TemporaryDirectory(prefix="rdserve-") as scratch:
        folder = Path(scratch) / archive.card.name
        archive.extract(folder)
        return Worker.load(folder, how)
