"""What the README shows is true: its client example runs, its links and commands exist."""

import re
import subprocess
import sys
from pathlib import Path

from rdserve.client import Client

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
