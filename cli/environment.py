"""Options as environment variables: `serve --host` is RDSERVE_SERVE_HOST, what containers are set up with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rdserve.cli.command_table import COMMANDS

PREFIX = "RDSERVE"
# Read by more than one command.
SHARED = ("RDSERVE_TOKEN", "RDSERVE_TOKENS_FILE", "RDSERVE_DATA")
# What Kubernetes, or a link of Docker's, puts into the environment beside a service named rdserve-...
INJECTED = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP)(_\w+)?)?$|_(NAME|ENV_\w+)$")
# Of a variable that may be somebody's own nothing is said unless it is this near to one of ours.
NEAR = 0.85


def variables(name: str, parameters: Sequence[Any]) -> dict[str, list[str]]:
    """Of each option of a command, the variables that set it; by the option's name."""
    return {
        option.name: [
            *_listed(option.envvar),
            *([f"{PREFIX}_{name}_{option.name}".upper()] if option.allow_from_autoenv else []),
        ]
        for option in parameters
        if option.param_type_name == "option"
    }


def mistyped(name: str, parameters: Sequence[Any], environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that is meant for this command and sets nothing."""
    ours = {variable for of_one in variables(name, parameters).values() for variable in of_one}
    known = [*sorted(ours), *SHARED]
    own = f"{PREFIX}_{name}_".upper()
    others = tuple(f"{PREFIX}_{other}_".upper() for other in COMMANDS if other != name)
    for variable in sorted(environment.keys() - set(known)):
        if not variable.startswith(f"{PREFIX}_") or variable.startswith(others) or INJECTED.search(variable):
            continue
        mine = variable.startswith(own)
        near = get_close_matches(variable, known, n=1, cutoff=NEAR)
        if near or mine:
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{variable} sets no option of `rdserve {name}`{hint}"


def _listed(names: str | Sequence[str] | None) -> Sequence[str]:
    return [names] if isinstance(names, str) else names or []
