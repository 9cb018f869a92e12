"""A private TorchServe whose gRPC is open to the benchmark: the yardstick.

It gets what the front's own TorchServe gets: the same archives, JVM options, log levels and threads.
Each model is registered once per batching, as NAME + suffix, each with workers of its own.
"""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import urlencode

from rdserve.server.backends.torchserve import config
from rdserve.server.backends.torchserve.config import TorchServeError
from rdserve.server.backends.torchserve.http import UnixHttpClient
from rdserve.server.backends.torchserve.process import TorchServeProcess
from rdserve.server.settings import Settings

OPEN: dict[str, str | int] = {
    "disable_token_authorization": "true",
    "enable_metrics_api": "false",
    "job_queue_size": 1000,
}


@dataclass(frozen=True)
class Batching:
    """TorchServe's batch_size, and max_batch_delay in ms."""

    size: int
    delay: int

    @property
    def suffix(self) -> str:
        """What a model registered so is called, after its own name."""
        return f"-{self.size}-{self.delay}"


UNBATCHED = Batching(1, 0)


@dataclass(frozen=True)
class Addresses:
    """Where TorchServe listens: gRPC, and the Unix socket of its HTTP."""

    grpc: str
    http: Path


@contextlib.asynccontextmanager
async def native(
    archives: Sequence[Path], batchings: Sequence[Batching], *, workers: int, threads: int
) -> AsyncIterator[Addresses]:
    """The addresses of a TorchServe that serves every archive in every batching.

    Raises:
        TorchServeError: it did not start, or did not load a model.
    """
    folder = Path(tempfile.mkdtemp(prefix="rdserve-native-"))
    store, port = folder / "store", _free_port()
    store.mkdir()
    for archive in archives:
        shutil.copy(archive, store)
    settings = Settings(models=store, workers=workers, threads=threads)
    more = OPEN | {"grpc_inference_port": port}
    process = TorchServeProcess(folder, store, settings, lambda last_words: None, more)
    management = UnixHttpClient(config.socket(folder, "management"))
    try:
        await process.start()
        for archive, batching in product(archives, batchings):
            await _register(management, archive, batching, workers)
        yield Addresses(f"127.0.0.1:{port}", config.socket(folder, "inference"))
    finally:
        management.close()
        await process.stop(within=10)
        shutil.rmtree(folder, ignore_errors=True)


async def _register(management: UnixHttpClient, archive: Path, batching: Batching, workers: int) -> None:
    name = archive.stem + batching.suffix
    parameters: dict[str, str | int] = {
        "url": archive.name,
        "model_name": name,
        "initial_workers": workers,
        "synchronous": "true",
        "batch_size": batching.size,
        "max_batch_delay": batching.delay,
    }
    status, body = await management.ask("POST", f"/models?{urlencode(parameters)}")
    if status != 200:
        raise TorchServeError(f"TorchServe did not load {name}: {body[:200]!r}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
