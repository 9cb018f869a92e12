"""Options that belong together as one value: a dataclass as a command's parameter, each field an option."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: for a parameter that is a dataclass, one for each of its fields."""
    own = inspect.signature(command)
    kinds = {name: it.annotation for name, it in own.parameters.items()}
    groups = {name: it for name, it in kinds.items() if isinstance(it, type) and is_dataclass(it)}
    fields = {name: inspect.signature(group).parameters.values() for name, group in groups.items()}

    # Without its annotations: a field may have the name of the parameter.
    @functools.wraps(command, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    def spread_out(**arguments: Any) -> None:
        for name, group in groups.items():
            arguments[name] = group(**{field.name: arguments.pop(field.name) for field in fields[name]})
        command(**arguments)

    options = [option for name, it in own.parameters.items() for option in fields.get(name, (it,))]
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    spread_out.__signature__ = own.replace(parameters=keywords)  # type: ignore[attr-defined]
    return spread_out
