"""Imports point one way."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "v1": "proto/rdserve/v1",
    "data": "data",
    "models": "models",
    "trainer": "trainer",
    "server": "server",
    "client": "client",
    "compare": "compare",
    "study": "study",
    "benchmarks": "benchmarks",
    "cli": "cli",
}
# Which packages of ours each may import, besides itself.
OURS = {
    "v1": set(),
    "data": set(),
    "models": {"v1"},
    "trainer": {"models", "data"},
    "server": {"v1", "data", "models"},
    "client": {"v1"},
    "compare": {"client", "data"},
    "study": {"client", "compare", "data"},
    "benchmarks": {"v1", "models", "trainer", "server", "client", "compare"},
    "cli": {"v1", "data", "models", "trainer", "server", "client", "compare", "study", "benchmarks"},
}
FORBIDDEN = {
    "v1": {"torch", "ts"},
    "data": {"torch", "grpc", "ts", "sklearn"},
    "models": {"grpc", "ts", "prometheus_client"},
    "trainer": {"grpc", "ts", "prometheus_client", "google"},
    "server": set(),
    "client": {"torch", "ts", "scipy", "matplotlib", "rich"},
    "compare": {"torch", "ts", "grpc"},
    "study": {"torch", "ts", "grpc"},
    "benchmarks": {"ts"},
    "cli": {"torch", "ts"},
}
# Written by hand to rebuild an embedded file; never imported.
SCRIPTS = {ROOT / "data/make_digits.py"}


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules() -> list[tuple[str, Path]]:
    return [
        (package, path)
        for package, folder in FOLDERS.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "_pb2" not in path.name and path not in SCRIPTS
    ]


@pytest.mark.parametrize(
    ("package", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{ROOT}/")
)
def test_imports_point_one_way(package: str, path: Path) -> None:
    names = imports(path)
    ours = {name.split(".")[1] for name in names if name.startswith("rdserve.")}
    assert ours - {package} <= OURS[package]
    forbidden = FORBIDDEN[package] if path.name != "handler.py" else set()
    assert not {name.split(".")[0] for name in names} & forbidden


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("rdserve.client", {"torch", "scipy", "matplotlib", "typer", "rich", "pydantic"}),
        ("rdserve.models.card", {"torch", "grpc"}),
        ("rdserve.data", {"torch", "grpc", "sklearn"}),
        ("rdserve.trainer", {"grpc", "ts", "aiohttp"}),
        ("rdserve.server.servicer", {"torch"}),
    ],
)
def test_what_a_fresh_process_loads(module: str, absent: set[str]) -> None:
    import subprocess

    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(loaded.stdout.split())
