"""How a comparison came to be, as its report says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """began: when scoring began, ISO 8601 in UTC; of a run that goes on, when its first part began.

    service: where the models were, its address say. command: what asked for it; empty from Python.
    Nothing here changes a number, so no file but the report says it.
    """

    began: str
    service: str
    command: str = ""
