"""The wheel alone, outside the repository: what is in it, what works without an extra, and with them all."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rdserve.cli.command_table import COMMANDS
from rdserve.cli.commands.toy import COLUMNS
from rdserve.cli.exits import Code
from running import Running, until_serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODELS = ["digits-mpm-b1.0", "digits-mpv-b0.15-annealed", "digits-mpv-b1.0-annealed"]
MODELS_BUDGET = 512 * 1024
# Runs each command it is given: [exit code, stderr] by name. None of them gets as far as an import.
EACH = """
import contextlib, io, json, sys
from rdserve.cli import main
ends = {}
for name in sys.argv[1:]:
    sys.argv = ["rdserve", name]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            main()
        except SystemExit as end:
            ends[name] = end.code, said.getvalue()
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as what an earlier build left in the repository would get into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in {path.split("/")[0] for path in PROJECT["tool"]["setuptools"]["package-dir"].values()}:
        ignored = shutil.ignore_patterns("__pycache__", "static-mnist")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", out)
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (built,) = out.iterdir()
    return built


class Installed:
    """The wheel in an environment of its own; paths: where that finds other packages."""

    def __init__(self, folder: Path, wheel: Path, paths: list[str]) -> None:
        self._bin, self._outside = folder / "env/bin", folder / "outside"
        self._outside.mkdir()
        venv.create(folder / "env", with_pip=False)
        python = str(self._bin / "python")
        options = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", *options, wheel], check=True
        )
        (packages,) = (folder / "env").glob("lib/python*/site-packages")
        (packages / "others.pth").write_text("\n".join(paths))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._found(command), cwd=self._outside, capture_output=True, text=True)

    def start(self, *command: str) -> Running:
        to = subprocess.PIPE
        return Running(
            subprocess.Popen(
                self._found(command), cwd=self._outside, stdout=to, stderr=subprocess.STDOUT, text=True
            )
        )

    def _found(self, command: tuple[str, ...]) -> list[str]:
        return [str(self._bin / command[0]), *command[1:]]


def needed(requirements: list[str]) -> set[str]:
    """The names of these distributions and of all that they need."""
    found: set[str] = set()
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        one = waiting.pop()
        if one.name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(one.name)
            waiting += map(Requirement, distribution(one.name).requires or [])
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """With what the wheel itself requires, and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    others = folder / "others"
    others.mkdir()
    for name in needed(PROJECT["project"]["dependencies"]):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (others / top).exists():
                (others / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return Installed(folder, wheel, [str(others)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """With all that this environment has but its rdserve, which a .pth file there names."""
    paths = [path for path in sys.path if path.endswith("site-packages")]
    return Installed(tmp_path_factory.mktemp("whole"), wheel, paths)


@pytest.fixture(scope="module")
def address(whole: Installed) -> Iterator[str]:
    """Of a service of the wheel's own models."""
    running = until_serving(whole.start("rdserve", "serve", "--port", "0"))
    assert "no --models given: these are the models of digits that come with rdserve" in running.lines
    yield running.address
    assert running.stop() == 0


def test_it_holds_the_packages_and_three_small_models(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert {name.split("/")[0] for name in sizes if "dist-info" not in name} == {"rdserve"}
    folders = {name.split("/")[1] for name in sizes if name.count("/") > 1 and "dist-info" not in name}
    assert not {"benchmarks", "tools", "tests"} & folders
    assert {"loadtest", "client", "v1", "zoo"} <= folders
    assert {"rdserve/py.typed", "rdserve/__init__.py"} <= set(sizes)
    shipped = {name: size for name, size in sizes.items() if name.startswith("rdserve/zoo/")}
    models = {name.split("/")[3] for name in shipped if name.startswith("rdserve/zoo/digits/")}
    assert models == set(MODELS)
    assert {f"rdserve/zoo/toy/{name}/model.json" for name in COLUMNS} < set(shipped)
    assert sum(shipped.values()) <= MODELS_BUDGET
    pages = ("openapi.json", "pages/docs.html", "pages/docs.css", "pages/docs.js")
    assert {f"rdserve/server/http/{page}" for page in pages} <= set(sizes)


def test_the_readmes_example_needs_no_extra(base: Installed, address: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = base.run("python", "-c", block.replace("localhost:50051", address))
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == MODELS


def test_help_and_health_need_no_extra(base: Installed, address: str) -> None:
    listed = base.run("rdserve", "--help")
    assert listed.returncode == 0, listed.stderr
    assert all(f" {name} " in listed.stdout for name in COMMANDS)
    healthy = base.run("rdserve", "health", "--server", address)
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert healthy.stdout.endswith("SERVING\n")


def test_a_command_names_the_extra_that_it_needs(base: Installed) -> None:
    needy = {name: command.extra for name, command in COMMANDS.items() if command.extra}
    done = base.run("python", "-c", EACH, *needy)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert ends.keys() == needy.keys()
    for name, extra in needy.items():
        code, said = ends[name]
        assert code == Code.UNAVAILABLE, said
        assert f"`rdserve {name}` needs" in said
        assert f"pip install 'rdserve[{extra}]'" in said


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from rdserve.compare import compare", "compare"),
        ("from rdserve import Comparison", "compare"),
        ("import rdserve.trainer", "train"),
    ],
)
def test_what_is_imported_names_the_extra_that_it_needs(base: Installed, code: str, extra: str) -> None:
    done = base.run("python", "-c", code)
    assert re.search(
        rf"ImportError: rdserve\.\w+ needs \w+; pip install 'rdserve\[{extra}\]'$", done.stderr.strip()
    )


def test_bench_measures_a_service_and_says_what_needs_a_clone(whole: Installed) -> None:
    nobody = whole.run("rdserve", "bench", "--server", "localhost:1")
    assert nobody.returncode == Code.UNAVAILABLE
    assert "nothing answers there" in nobody.stderr
    alone = whole.run("rdserve", "bench")
    assert alone.returncode == Code.USAGE
    assert "in a clone of the repository" in " ".join(re.sub("[│╭╮╰╯─]", " ", alone.stderr).split())
