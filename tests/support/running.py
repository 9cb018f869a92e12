"""A real `rdserve serve` process."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Running:
    """A service that serves."""

    process: subprocess.Popen[str]
    address: str = ""
    lines: list[str] = field(default_factory=list)

    def processes(self) -> list[psutil.Process]:
        """The service and everything it started."""
        front = psutil.Process(self.process.pid)
        return [front, *front.children(recursive=True)]

    def workers(self) -> set[int]:
        """Ids of TorchServe's worker processes."""
        return {p.pid for p in self.processes() if "model_service_worker" in " ".join(p.cmdline())}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the service and return its exit code; the rest of its output is in `lines`."""
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return self.process.wait()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.lines += self.process.stdout.read().splitlines()
        self.process.stdout.close()
        return self.process.wait()


def start_service(models: Path, *arguments: str) -> Running:
    """Start `rdserve serve` on a free port; `until_serving` is next."""
    command = [sys.executable, "-c", "from rdserve.cli import main; main()", "serve"]
    return Running(
        subprocess.Popen(
            [*command, "--models", str(models), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        )
    )


def until_line(running: Running, start: str) -> str:
    """The service's next line that starts so; it must come."""
    assert running.process.stdout is not None
    for line in running.process.stdout:
        running.lines.append(line.rstrip())
        if line.startswith(start):
            return line.rstrip()
    running.stop()
    raise AssertionError(f"the service ended without a line {start!r}:\n" + "\n".join(running.lines))


def until_serving(running: Running) -> Running:
    """Return when the service serves; it must."""
    running.address = until_line(running, "serving ").rsplit(" ", 1)[1]
    return running
