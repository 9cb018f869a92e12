"""The Dockerfile and its neighbours fit the package. That they work is deploy/prove-image's to show."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from kustomize import build, containers
from rdserve import __version__
from rdserve.cli.command_table import COMMANDS, load
from typer.main import get_command

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())


def options() -> set[str]:
    """Every variable that a command reads."""
    found = {"RDSERVE_TOKEN", "RDSERVE_TOKENS_FILE"}
    for name in COMMANDS:
        for parameter in get_command(load(name)).params:
            found.add(f"RDSERVE_{name}_{parameter.name}".upper())
    return found


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bRDSERVE_[A-Z_]+(?==)", text))


def test_linters_find_nothing() -> None:
    tools = Path(sys.executable).parent
    for command in (["hadolint", "Dockerfile"], ["shellcheck", "deploy/prove-image"]):
        done = subprocess.run([tools / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_every_package_is_copied() -> None:
    copied = set(re.findall(r"^COPY (\S+) \1$", DOCKERFILE, re.MULTILINE))
    folders = {path.split("/")[0] for path in PROJECT["tool"]["setuptools"]["package-dir"].values()}
    assert copied == folders
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{folder}" for folder in folders} <= set(let_in)


def test_torch_is_the_version_that_the_package_pins() -> None:
    (version,) = re.findall(r"^ARG TORCH_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"torch=={version}" in PROJECT["project"]["optional-dependencies"]["train"]


def test_the_page_has_every_build_argument() -> None:
    page = (ROOT / "docs/deploy.md").read_text().split("| build argument |")[1].split("\n\n")[0]
    said = re.findall(r"`([A-Z_]+)`", "\n".join(line.split("|")[1] for line in page.splitlines()[2:]))
    assert sorted(said) == sorted(set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE)))


def test_the_label_is_the_version_of_the_package() -> None:
    assert re.findall(r"^ARG VERSION=(\S+)$", DOCKERFILE, re.MULTILINE) == [__version__]
    assert f"| `{__version__}`, `unknown` |" in (ROOT / "docs/deploy.md").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/loopback.env"])
def test_variables_are_options(name: str) -> None:
    found = variables((ROOT / name).read_text())
    assert len(found) >= 5
    assert found <= options()


def test_loopback_turns_off_all_that_the_image_turns_on() -> None:
    here = variables((ROOT / "deploy/loopback.env").read_text())
    assert variables(DOCKERFILE) - here == {"RDSERVE_SERVE_MODELS", "RDSERVE_SERVE_METRICS_PORT"}


def test_compose_mounts_what_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / "deploy" / source).is_dir(), source
    assert COMPOSE["services"]["rdserve"]["read_only"]


def test_the_same_folders_are_writable_everywhere() -> None:
    """In compose, in Kubernetes and in the proof."""
    compose = {mount.split(":")[0] for mount in COMPOSE["services"]["rdserve"]["tmpfs"]}
    (container,) = containers(build(ROOT / "deploy/kubernetes/overlays/cpu"))
    pod = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    proof = set(re.findall(r"--tmpfs ([^:]+):", (ROOT / "deploy/prove-image").read_text()))
    assert compose == pod == proof == {"/tmp", "/var/lib/rdserve"}
