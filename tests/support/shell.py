"""`rdserve ...`: in this process by `rdserve`; as a child by RDSERVE, where the process is what is proven."""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from rdserve.cli.group import app
from typer.testing import CliRunner

RDSERVE = [sys.executable, "-c", "from rdserve.cli import main; main()"]


def rdserve(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a new interpreter: its exit code, and what it wrote.

    cwd: the folder it runs in; env: variables beside those of this process.
    """
    command = ["rdserve", *map(str, arguments)]
    with contextlib.chdir(cwd or "."), mock.patch.object(sys, "argv", command):
        done = CliRunner().invoke(app, command[1:], prog_name="rdserve", env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr)
