"""Imports point one way, wherever in a file they stand; one class name means one thing."""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tools import rooms
from tools.rooms import EXEMPT, PACKAGES, ROOT


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module written by hand."""
    found = {}
    for folder, package in PACKAGES.items():
        home = ROOT / "proto/rdserve/v1" if folder == "proto" else ROOT / folder
        for path in sorted(home.rglob("*.py")):
            if "_pb2" not in path.name:
                parts = path.relative_to(home).with_suffix("").parts
                found[".".join([package.module, *(part for part in parts if part != "__init__")])] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a module imports, wherever in the file: each as the module that it is in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in names}
    return frozenset(found)


def folder_of(module: str) -> str:
    """The folder at the top that a module of ours lies in."""
    path = modules().get(module)
    if path:
        return path.relative_to(ROOT).parts[0]
    return next((f for f, p in PACKAGES.items() if module.startswith(f"{p.module}.") and f != "api"), "api")


def unit(module: str) -> str:
    """What may not be in a circle: a folder without folders, or one module beside folders."""
    path = modules()[module]
    beside_folders = any((each / "__init__.py").is_file() for each in path.parent.iterdir())
    return module if beside_folders else ".".join(path.relative_to(ROOT).parent.parts)


def assert_no_circle(graph: Mapping[str, Iterable[str]]) -> None:
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def own(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    return {name for name in imports(modules()[module]) if name in modules()} - {module}


def test_no_file_is_in_a_circle() -> None:
    assert_no_circle({module: own(module) for module in modules()})


def test_no_folder_is_in_a_circle() -> None:
    graph = defaultdict(set)
    for module in modules():
        graph[unit(module)] |= {unit(other) for other in own(module)} - {unit(module)}
    assert_no_circle(graph)


@pytest.mark.parametrize("module", modules())
def test_a_package_imports_what_it_may(module: str) -> None:
    folder, path = folder_of(module), modules()[module]
    names = imports(path)
    ours = {folder_of(name) for name in names if name.split(".")[0] in ("rdserve", "benchmarks")}
    assert ours - {folder} <= PACKAGES[folder].uses
    never = PACKAGES[folder].never if str(path.relative_to(ROOT)) not in EXEMPT else frozenset()
    assert not {name.split(".")[0] for name in names} & never


@pytest.mark.parametrize("folder", [folder for folder, package in PACKAGES.items() if package.floors])
def test_folders_stand_on_floors(folder: str) -> None:
    """Each imports only those below it; the floors are all the folders there are."""
    floors = [f"{folder}/{floor}" for floor in PACKAGES[folder].floors]
    on_disk = {str(p.parent.relative_to(ROOT)) for p in (ROOT / folder).rglob("*/__init__.py")}
    assert on_disk == set(floors)
    home = {module: str(path.parent.relative_to(ROOT)) for module, path in modules().items()}
    for module in modules():
        for other in own(module):
            if home[module] in floors and home[other] in floors and home[module] != home[other]:
                assert floors.index(home[module]) < floors.index(home[other]), f"{module} imports {other}"


def test_a_class_name_means_one_thing() -> None:
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in names.items() if count > 1]


def test_the_packages_of_the_distribution_are_those_on_disk() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    shipped = {
        m for m, path in modules().items() if path.name == "__init__.py" and not m.startswith("benchmarks")
    }
    assert sorted(listed) == sorted(shipped)


def test_the_page_on_the_layout_says_so() -> None:
    assert rooms.page() == rooms.PAGE.read_text(), "run python tools/rooms.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("rdserve", {"grpc", "numpy", "torch"}),
        ("rdserve.client", {"torch", "scipy", "matplotlib", "typer", "rich", "pydantic"}),
        ("rdserve.compare.statistics.paired", {"matplotlib", "pydantic", "grpc"}),
        ("rdserve.compare.analysis.analysis", {"matplotlib", "pydantic", "jinja2"}),
        ("rdserve.compare.api", {"matplotlib", "pydantic", "jinja2", "rich"}),
        ("rdserve.models.card", {"torch", "grpc"}),
        ("rdserve.data", {"torch", "grpc", "sklearn"}),
        ("rdserve.trainer", {"grpc", "ts", "httptools"}),
        ("rdserve.server.grpc_api.servicer", {"torch"}),
    ],
)
def test_what_a_fresh_process_loads(module: str, absent: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(loaded.stdout.split())
