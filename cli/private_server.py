"""A service of one's own: started for one command, stopped after it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rdserve.client import RdserveError

READY = "serving "


class NotServing(RdserveError):
    """The private service ended before it served."""


@contextmanager
def private_service(models: Path, announce: Callable[[str], None], *options: str) -> Iterator[str]:
    """The address of a service over `models`; `announce` gets a line per phase of its start.

    options: more of `rdserve serve`.

    Raises:
        NotServing: it ended before it served; its own words precede.
    """
    command = [sys.executable, "-m", "rdserve.cli", "serve", "--models", str(models), "--port", "0"]
    command += ["--no-request-log", *options]  # its stderr is the user's terminal
    # On loopback, for this command: whoever asks for tokens elsewhere means another service.
    others = ("RDSERVE_SERVE_", "RDSERVE_TOKENS_FILE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    # A session of its own: Ctrl-C comes to this process alone, which then stops the service; so does SIGTERM.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=env)
    try:
        yield _address(process, announce)
    finally:
        signal.signal(signal.SIGTERM, before)
        process.terminate()
        process.communicate()  # its last words, and the pipe closed


def _address(process: subprocess.Popen[str], announce: Callable[[str], None]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        announce(line.rstrip())
        if line.startswith(READY):
            return line.split()[-1]
    raise NotServing(f"the service ended with exit code {process.wait()} before it served")
