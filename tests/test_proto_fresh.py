"""The committed wire code is what the .proto files generate, with nothing beside proto/."""

import subprocess
import sys
from pathlib import Path

import pytest

PROTO = Path(__file__).parent.parent / "proto"


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"]
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("rdserve/**/*.proto"))
    services = [name for name in files if "service " in (PROTO / name).read_text()]
    subprocess.run([*protoc, f"--python_out={tmp_path}", *files], check=True)
    subprocess.run([*protoc, f"--grpc_python_out={tmp_path}", *services], check=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py"))
    assert made
    stale = [str(name) for name in made if (tmp_path / name).read_text() != (PROTO / name).read_text()]
    if stale:
        pytest.fail(f"run `make proto`: {', '.join(stale)}")
