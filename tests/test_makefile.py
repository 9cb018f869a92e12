"""`make install` before there is anything: which Python it takes, and where torch comes from.

Real make and shell; a Python that makes no environment and installs nothing, but notes what it was asked for.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
TOOLS = ("sh", "make", "uname", "timeout", "find", "sort", "cmp", "mkdir", "mv", "rm", "touch", "cp")
NOTING = f"""#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") echo "$@" >> pip.txt ;;
*) exec {sys.executable} "$@" ;;
esac
"""
OLD = """#!/bin/sh
test "$1" = --version && echo Python 3.9.2
exit 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout without sources, and a PATH without a Python: folder/bin."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def add(folder: Path, name: str, script: str) -> None:
    (folder / "bin" / name).write_text(script)
    (folder / "bin" / name).chmod(0o755)


def make(folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "bin/make"), "install", *variables]
    env = {"PATH": str(folder / "bin"), "HOME": os.environ["HOME"]}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


class Index(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cpu"
        server.shutdown()


def test_without_a_gpu_torch_comes_from_the_index_for_cpus(folder: Path, index: str) -> None:
    add(folder, "python3", NOTING)
    done = make(folder, f"TORCH_CPU={index}", "NVIDIA=")
    assert done.returncode == 0, done.stderr
    assert f"--extra-index-url {index} -e .[dev]" in (folder / "pip.txt").read_text()


@pytest.mark.parametrize(
    "variables", [("NVIDIA=/dev/nvidia0",), ("NVIDIA=", "TORCH_CPU=http://127.0.0.1:1/cpu")]
)
def test_with_a_gpu_or_without_that_index_pips_own_do(
    folder: Path, index: str, variables: tuple[str, ...]
) -> None:
    add(folder, "python3", NOTING)
    done = make(folder, f"TORCH_CPU={index}", *variables)
    assert done.returncode == 0, done.stderr
    assert "-e .[dev]" in (folder / "pip.txt").read_text()
    assert "--extra-index-url" not in (folder / "pip.txt").read_text()
    assert "Error" not in done.stderr


def test_any_python_that_is_new_enough_will_do(folder: Path) -> None:
    add(folder, "python3", OLD)
    add(folder, "python3.13", NOTING)
    done = make(folder, "NVIDIA=/dev/nvidia0")
    assert done.returncode == 0, done.stderr
    assert (folder / ".venv/bin/python").is_file()


def test_it_says_which_python_is_missing(folder: Path) -> None:
    add(folder, "python3", OLD)
    done = make(folder, "NVIDIA=/dev/nvidia0")
    assert done.returncode != 0
    assert (
        "no Python 3.11 or newer on PATH (Python 3.9.2); install one, or name it: make PYTHON=" in done.stderr
    )
    assert not (folder / ".venv").exists()
