"""The documentation builds into a site on which no page is left out and every link leads somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def build(root: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_it_builds(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text()
    for linked in ("docs/serving.html", "docs/images/rd-plane.png", "proto/rdserve/v1/vae.proto"):
        assert f'"{linked}"' in home
        assert (tmp_path / linked).exists()
    # Nobody else is asked for anything.
    assert re.findall(r'(?:src|href)="https?://[^"]+\.(?:js|css|woff2?|png|svg)"', home) == []


def test_what_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    links = "[a](gone.md) [b](../server/gone.py) [c](security.md#gone) [d](/docs/serving.md)"
    (tmp_path / "README.md").write_text("# Home\n")
    (tmp_path / "docs/unlisted.md").write_text(f"# Unlisted\n\n{links}\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    for complaint in (
        "'docs/gone.md' is not found",
        "'server/gone.py' is not found",
        "does not contain an anchor '#gone'",
        "absolute link '/docs/serving.md'",
        'not included in the "nav"',
    ):
        assert complaint in done.stderr
