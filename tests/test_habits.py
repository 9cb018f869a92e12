"""Papers of the repository agree with it: licence, changelog, contributing, hooks, workflow, decisions."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from rdserve import __version__

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_licence_is_the_one_that_the_package_names() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert (ROOT / "proto/google/LICENSE").read_text() == text


def test_the_changelog_begins_with_what_is_unreleased_and_knows_this_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    assert None not in released
    assert headings[1].startswith(f"{__version__} - ")


def test_constraints_pin_what_the_package_needs_to_run() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    extras = PROJECT["optional-dependencies"].items()
    groups = [PROJECT["dependencies"], *(needs for name, needs in extras if name not in ("dev", "docs"))]
    needed = [one for needs in groups for one in map(Requirement, needs) if one.name != "rdserve"]
    assert {one.name for one in needed} == set(pinned)
    assert [one for one in needed if not one.specifier.contains(pinned[one.name])] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "tests/README.md"])
def test_commands_and_files_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    made = set(re.findall(r"\bmake ([a-z]+)\b", text))
    assert made
    assert made <= TARGETS
    folder = (ROOT / page).parent
    paths = set(re.findall(r"[ `]((?:[\w.-]+/)+(?:[\w.-]+)?)", text)) - {
        ".venv/bin/pre-commit",
        ".venv/bin/python",
    }
    assert {path for path in paths if not ((ROOT / path).exists() or (folder / path).exists())} == set()


def test_hooks_fetch_nothing() -> None:
    for repository in HOOKS["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            assert hook["entry"].startswith(".venv/bin/")


def test_the_forge_runs_what_everybody_runs() -> None:
    commands = {
        name: [step.get("run", "") for step in job["steps"]] for name, job in WORKFLOW["jobs"].items()
    }
    assert ".ci/run" in commands["suite"]
    made = {target for line in commands["quick"] for target in re.findall(r"(?<=make )[a-z ]+", line)}
    assert {target for line in made for target in line.split()} <= TARGETS
    named = {path for line in commands["quick"] for path in re.findall(r"tests/[\w/*.]+", line)}
    assert {path for path in named if not list(ROOT.glob(path))} == set()


def test_every_decision_is_listed_and_says_why() -> None:
    folder = ROOT / "docs/adr"
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
    for name in listed:
        text = (folder / name).read_text()
        assert text.startswith(f"# {name[:4]}. ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
