"""What scripts, containers, dashboards and alerts name stays: the options, their variables, the metrics."""

from collections.abc import Iterator
from pathlib import Path

from rdserve.cli.command_table import COMMANDS, load
from rdserve.cli.environment import variables
from rdserve.cli.group import app
from rdserve.server.observability.metrics import METRICS
from typer.main import get_command

HERE = Path(__file__).parent


def promised(name: str) -> set[str]:
    return {line for line in (HERE / name).read_text().splitlines() if not line.startswith("#")}


def options() -> Iterator[str]:
    """A line for each option of each command: its names, and the variables that set it."""
    groups = {"rdserve": get_command(app)} | {name: get_command(load(name)) for name in COMMANDS}
    for command, group in groups.items():
        read = variables(command, group.params)
        for each in group.params:
            if each.param_type_name == "argument":
                yield f"{command} (argument)"
            else:
                yield " ".join([command, "/".join([*each.opts, *each.secondary_opts]), *read[str(each.name)]])


def assert_kept(name: str, now: set[str]) -> None:
    gone, new = promised(name) - now, now - promised(name)
    assert not gone, f"removed or renamed, which breaks its users: {sorted(gone)}"
    assert not new, f"new: add to tests/{name} what is meant to stay: {sorted(new)}"


def test_no_option_goes_and_each_that_comes_is_listed() -> None:
    assert_kept("promised_options.txt", set(options()))


def test_no_metric_goes_and_each_that_comes_is_listed() -> None:
    found = {" ".join([name, metric.kind, *metric.labels]) for name, metric in METRICS.items()}
    assert_kept("promised_metrics.txt", found)
