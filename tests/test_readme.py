"""What the README shows is true: its client example runs, its links and commands exist."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from front import Front
from rdserve.client import Client

StartFront = Callable[..., Front]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_client_example_runs(in_process_service: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert '"localhost:50051"' in block
    code = block.replace("localhost:50051", in_process_service)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Client(in_process_service) as client:
        assert [line.split()[0] for line in done.stdout.splitlines()] == [m.name for m in client.models()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_curl_example_runs(front: StartFront) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert "localhost:8080" in block
    running = front(ROOT / "zoo/digits/digits-mpm-b1.0", http=0)
    code = block.replace("localhost:8080", running.http.removeprefix("http://"))
    done = subprocess.run(["sh", "-c", code], capture_output=True, text=True)
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert answer["images"]["shape"] == ["3", "1", "8", "8"]


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_has_the_commands() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^ +make ([a-z]+)", README, re.MULTILINE)) | set(
        re.findall(r"`make ([a-z]+)`", README)
    )
    assert {"demo", "test", "serve"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_it_is_one_screen() -> None:
    assert len(README.splitlines()) <= 65
