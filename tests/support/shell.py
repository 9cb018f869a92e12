"""`rdserve ...` as a child process."""

import subprocess
import sys
from pathlib import Path

RDSERVE = [sys.executable, "-c", "from rdserve.cli import main; main()"]


def rdserve(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*RDSERVE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)
