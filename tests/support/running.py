"""A real `rdserve serve` process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil

CLI = "from rdserve.cli import main; main()"
# As `rdserve serve`, with settings that have no option.
PLAIN = """
import asyncio, json, logging, sys
from pathlib import Path
from rdserve.server.app import serve
from rdserve.server.settings import Settings
logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
settings = json.loads(sys.argv[1])
settings["models"] = Path(settings["models"])
ready = settings.pop("ready_file", None)
asyncio.run(serve(Settings(**settings), print, ready and Path(ready)))
"""


class Service:
    """A service by its process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.address = ""

    def processes(self) -> list[psutil.Process]:
        """The service and everything it started."""
        front = psutil.Process(self.pid)
        return [front, *front.children(recursive=True)]

    def workers(self) -> set[int]:
        """Ids of TorchServe's worker processes."""
        return {p.pid for p in self.processes() if "model_service_worker" in " ".join(p.cmdline())}

    def java(self) -> psutil.Process:
        """TorchServe's frontend."""
        (java,) = (p for p in self.processes() if "org.pytorch.serve.ModelServer" in p.cmdline())
        return java


class Running(Service):
    """One that this process started, and what it has said so far, read as it comes so that it never waits
    for a reader."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(process.pid)
        self.process = process
        self.lines: list[str] = []
        self._seen = 0
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        if process.stdout is not None:
            self._reader.start()

    def until(self, part: str) -> str:
        """The next line that holds `part`; it must come."""
        with self._more:
            while True:
                for at in range(self._seen, len(self.lines)):
                    if part in self.lines[at]:
                        self._seen = at + 1
                        return self.lines[at]
                self._seen = len(self.lines)
                if not self._reader.is_alive() and self._seen == len(self.lines):
                    raise AssertionError(f"the service ended without {part!r}:\n" + "\n".join(self.lines))
                self._more.wait(1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the service, once, and return its exit code; all its output is in `lines`."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code of a service that was told to end."""
        code = self.process.wait()
        if self.process.stdout is not None and not self.process.stdout.closed:
            self._reader.join()
            self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()
        with self._more:
            self._more.notify_all()


def start_service(models: Path, *arguments: str, output: Path | None = None) -> Running:
    """Start `rdserve serve` on a free port; `until_serving` is next. output: a file in place of `lines`."""
    command = [sys.executable, "-c", CLI, "serve", "--models", str(models), "--port", "0", *arguments]
    return _start(command, {}, output)


def start_with(
    models: Path,
    environment: Mapping[str, str] | None = None,
    *,
    output: Path | None = None,
    **settings: object,
) -> Running:
    """The same with any settings and environment; output: a file in place of `lines`."""
    given = json.dumps({"models": str(models), "port": 0, **settings})
    return _start([sys.executable, "-c", PLAIN, given], environment or {}, output)


def _start(command: list[str], environment: Mapping[str, str], output: Path | None) -> Running:
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **environment}
    with contextlib.ExitStack() as files:
        to = files.enter_context(output.open("w")) if output else subprocess.PIPE
        return Running(subprocess.Popen(command, stdout=to, stderr=subprocess.STDOUT, text=True, env=env))


def until_line(running: Running, start: str) -> str:
    """The service's next line that holds this; it must come."""
    return running.until(start)


def until_serving(running: Running) -> Running:
    """Return when the service serves; it must."""
    running.address = running.until("serving ").rsplit(" ", 1)[1]
    return running
