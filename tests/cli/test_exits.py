"""Exit codes and environment variables, of every command."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rdserve.cli.command_table import COMMANDS
from rdserve.cli.commands import health
from rdserve.cli.environment import SHARED, mistyped, variables
from rdserve.cli.exits import Code
from rdserve.cli.group import app
from shell import RDSERVE, rdserve
from typer.main import get_command

GROUP: Any = get_command(app)
DOCS = Path(__file__).parents[2] / "docs"


def parameters(name: str) -> list[Any]:
    """Of a command as the group runs it, --help included."""
    context = GROUP.make_context("rdserve", [name], resilient_parsing=True)
    _, command, _ = GROUP.resolve_command(context, [name])
    return list(command.get_params(context))


def options() -> dict[str, dict[str, list[str]]]:
    """command -> option -> the variables that set it."""
    return {name: variables(name, parameters(name)) for name in COMMANDS}


def test_no_variable_runs_another_command_than_the_one_asked_for() -> None:
    """An option that acts before the command does, set in a pipeline for reasons of its own."""
    context = GROUP.make_context("rdserve", [], resilient_parsing=True)
    for name, found in [("", GROUP.get_params(context)), *((name, parameters(name)) for name in COMMANDS)]:
        eager = {parameter.name for parameter in found if parameter.is_eager}
        assert "help" in eager
        taken = variables(name, found)
        assert all(not taken[each] for each in eager), name
    assert not any(variables("", GROUP.get_params(context)).values())


def test_a_variable_sets_one_option_of_one_command() -> None:
    count = Counter(each for of in options().values() for one in of.values() for each in one)
    assert [each for each, times in count.items() if times > 1] == []


def test_variables_are_named_after_their_command() -> None:
    for command, of in options().items():
        for one in of.values():
            own = [each for each in one if each not in SHARED]
            assert own == [each for each in own if each.startswith(f"RDSERVE_{command.upper()}_")]


def test_a_pipelines_own_version_and_help_change_nothing(tmp_path: Path) -> None:
    own = {"RDSERVE_VERSION": "1", "RDSERVE_HELP": "1", "RDSERVE_HEALTH_HELP": "1"}
    done = rdserve("health", "--server", f"unix:{tmp_path}/absent", env=own)
    assert done.returncode == Code.FAILED
    assert "Unreachable" in done.stdout


def test_a_mistyped_variable_is_named(tmp_path: Path) -> None:
    own = {"RDSERVE_SERVE_WORKRES": "3", "RDSERVE_SERVE_MODELS": str(tmp_path / "absent")}
    done = subprocess.run([*RDSERVE, "serve"], capture_output=True, text=True, env=os.environ | own)
    assert done.returncode == Code.USAGE
    warning = "RDSERVE_SERVE_WORKRES sets no option of `rdserve serve`; did you mean RDSERVE_SERVE_WORKERS?"
    assert done.stderr.splitlines()[0] == f"rdserve: warning: {warning}"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("RDSERVE_SERVE_HOST", None),
        ("RDSERVE_SREVE_HOST", "; did you mean RDSERVE_SERVE_HOST?"),
        ("RDSERVE_SERVE_XYZZY", ""),
        ("RDSERVE_TOKEN_FILES", "; did you mean RDSERVE_TOKENS_FILE?"),
        ("RDSERVE_HEALTH_TLS_CA", None),  # of a command that runs beside it
        ("RDSERVE_VERSION", None),
        ("RDSERVE_IMAGE", None),
        ("RDSERVE_SERVICE_HOST", None),  # of Kubernetes
        ("RDSERVE_PORT_50051_TCP_ADDR", None),
        ("SERVE_WORKRES", None),
    ],
)
def test_only_what_looks_meant_for_the_command_is_warned_of(variable: str, hint: str | None) -> None:
    lines = list(mistyped("serve", parameters("serve"), {variable: "1"}))
    wanted = [] if hint is None else [f"{variable} sets no option of `rdserve serve`{hint}"]
    assert lines == wanted


def test_a_bug_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "open_channel", None)
    done = rdserve("health")
    assert done.returncode == Code.BUG
    assert "TypeError" in done.stderr


def test_a_command_without_its_arguments_is_a_mistake() -> None:
    assert rdserve("verify").returncode == Code.USAGE
    assert rdserve("verify", "/nowhere/report.html").returncode == Code.IO


def test_docs_list_every_code() -> None:
    text = (DOCS / "comparison.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == set(Code)
