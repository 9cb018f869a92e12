"""One service on TorchServe for all the test processes of a run."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from polling import until
from running import Service, start_service

SERVING = "serving "


class Shared(Service):
    """The service, by whichever of them it was started; its output is in a file."""

    def __init__(self, pid: int, output: Path) -> None:
        super().__init__(pid)
        self._output = output
        until(lambda: any(line.startswith(SERVING) for line in self.lines))
        (serving,) = (line for line in self.lines if line.startswith(SERVING))
        self.address = serving.rsplit(" ", 1)[1]

    @property
    def lines(self) -> list[str]:
        """What it has said so far; a line that is not whole yet is left out."""
        return self._output.read_text().rpartition("\n")[0].split("\n")


def folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder that all the processes of a run see."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def shared(folder: Path, models: Path) -> Iterator[Shared]:
    """The first process that comes starts the service, and stops it when the others have left.

    Who uses it holds a shared lock, which ends with its process, however that ends.
    """
    about, output = folder / "service.json", folder / "service.log"
    with (folder / "service.users").open("w") as users:
        with (folder / "service.start").open("w") as starting:
            _lock(starting, fcntl.LOCK_EX)
            _lock(users, fcntl.LOCK_SH)
            started = None if about.exists() else start_service(models, output=output)
            if started is not None:
                about.write_text(json.dumps(started.pid))
            service = Shared(json.loads(about.read_text()), output)
        try:
            yield service
        finally:
            if started is not None:
                _lock(users, fcntl.LOCK_EX)
                about.unlink()
                started.stop()


def _lock(file: IO[str], kind: int) -> None:
    fcntl.flock(file, kind)
