"""A private TorchServe whose gRPC is open to the benchmark: the yardstick.

It gets what the front's own TorchServe gets: the same archives, JVM options, log levels and threads.
Each model is registered once per batching, as NAME + suffix, each with workers of its own.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdserve.server.backends.torchserve.config import command

START_SECONDS = 60


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


class NativeError(RuntimeError):
    """The yardstick does not work."""


@contextlib.asynccontextmanager
async def native(
    archives: Sequence[Path], batchings: Sequence[Batching], *, workers: int, threads: int
) -> AsyncIterator[Addresses]:
    """The addresses of a TorchServe that serves every archive in every batching.

    Raises:
        NativeError: it did not start, or did not load a model.
    """
    folder = Path(tempfile.mkdtemp(prefix="rdserve-native-"))
    ports = _free_ports(4)
    process = await _start(folder, archives, ports, threads)
    try:
        await _until_up(ports[0], process)
        for archive in archives:
            for batching in batchings:
                await asyncio.to_thread(_register, ports[0], archive, batching, workers)
        yield Addresses(f"127.0.0.1:{ports[2]}", _http(folder))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _start(
    folder: Path, archives: Sequence[Path], ports: Sequence[int], threads: int
) -> asyncio.subprocess.Process:
    (folder / "store").mkdir()
    (folder / "tmp").mkdir()
    for archive in archives:
        shutil.copy(archive, folder / "store")
    config = folder / "config.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in _properties(folder, ports).items()))
    environment = {"TMPDIR": folder / "tmp", "LOG_LOCATION": folder, "METRICS_LOCATION": folder}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RDSERVE_TORCH_THREADS"), threads)
    return await asyncio.create_subprocess_exec(
        *command(folder, config),
        cwd=folder,
        env=os.environ | {key: str(value) for key, value in (environment | limits).items()},
        stdout=(folder / "output").open("w"),
        stderr=asyncio.subprocess.STDOUT,
    )


def _http(folder: Path) -> Path:
    return folder / "http.sock"


def _properties(folder: Path, ports: Sequence[int]) -> dict[str, object]:
    management, metrics, grpc, grpc_management = ports
    return {
        "inference_address": f"unix:{_http(folder)}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": grpc,
        "grpc_management_port": grpc_management,
        "disable_token_authorization": "true",
        "enable_model_api": "true",
        "enable_metrics_api": "false",
        "disable_system_metrics": "true",
        "model_store": folder / "store",
        "load_models": "none",
        "number_of_gpu": 0,
        "max_request_size": 2**26,
        "max_response_size": 2**26,
        "job_queue_size": 1000,
        "install_py_dep_per_model": "false",
    }


async def _until_up(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
    raise NativeError(f"TorchServe ended with exit code {process.returncode} before it listened")


def _register(port: int, archive: Path, batching: Batching, workers: int) -> None:
    name = archive.stem + batching.suffix
    parameters: dict[str, str | int] = {
        "url": archive.name,
        "model_name": name,
        "initial_workers": workers,
        "synchronous": "true",
        "batch_size": batching.size,
        "max_batch_delay": batching.delay,
    }
    url = f"http://127.0.0.1:{port}/models?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=120) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise NativeError(f"TorchServe did not load {name}: {error.read()[:200]!r}") from None


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
