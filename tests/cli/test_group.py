"""The command line as a whole; in real processes what is imported, and what is missing."""

import subprocess
import sys

import pytest
from rdserve.cli.command_table import COMMANDS
from rdserve.cli.exits import IN_HELP, Code
from shell import rdserve

pytestmark = pytest.mark.slow

HEAVY = {"torch", "matplotlib", "scipy", "grpc", "numpy", "httptools"}


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys\n"
        "from rdserve.cli import main\n"
        "sys.argv = ['rdserve', '--help']\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = run(code)
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in COMMANDS)
    assert IN_HELP in " ".join(done.stdout.split())
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str) -> None:
    done = rdserve(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"rdserve {name}" in done.stdout


# A finder that says of some packages what an install without the extra says.
WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {absent} else found(name, *rest)
sys.argv = ['rdserve', '{command}', '--help']
from rdserve.cli import main
main()
"""


@pytest.mark.parametrize(
    ("command", "absent", "line"),
    [
        ("serve", {"httptools"}, "rdserve: `rdserve serve` needs httptools; pip install 'rdserve[server]'"),
        ("train", {"torch"}, "rdserve: `rdserve train` needs torch; pip install 'rdserve[train]'"),
        ("compare", {"rich"}, "rdserve: `rdserve compare` needs rich; pip install 'rdserve[compare]'"),
        ("figures", {"sklearn"}, "rdserve: `rdserve figures` needs sklearn; pip install 'rdserve[study]'"),
    ],
)
def test_a_missing_extra_is_one_line(command: str, absent: set[str], line: str) -> None:
    done = run(WITHOUT.format(absent=absent, command=command))
    assert done.returncode == Code.UNAVAILABLE
    assert done.stderr.strip() == line


def test_a_typo_gets_a_suggestion() -> None:
    done = rdserve("compar")
    assert done.returncode == Code.USAGE
    assert "Did you mean 'compare'" in done.stderr


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    done = rdserve("--version")
    assert done.stdout.strip() == f"rdserve {version('rdserve')}"
