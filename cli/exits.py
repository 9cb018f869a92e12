"""How every command ends: exit codes, and one line on stderr for what a user can do something about.

0, 1 and 2 are answers, as `rdserve compare --baseline` and `rdserve verify` give them. An error is none of
these, so that a pipeline can tell a model that became worse from a service that is away: its code is that of
sysexits.h, or 128 and the signal's number.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer

# click's, or typer's own copy of it.
UsageError: Any = typer.BadParameter.__bases__[0]


class Code(IntEnum):
    """What an exit code means. docs/comparison.md has the same table."""

    DONE = 0
    FAILED = 1
    UNDECIDED = 2
    USAGE = 64
    UNAVAILABLE = 69
    BUG = 70
    IO = 74
    INTERRUPTED = 130


_PLAIN = {
    "Input should be greater than or equal to ": "must be at least ",
    "Input should be less than or equal to ": "must be at most ",
    "Input should be a valid integer, unable to parse string as an integer": "must be a whole number",
    "Input should be a valid number, unable to parse string as a number": "must be a number",
    "Input should be ": "must be ",
}

IN_HELP = (
    "Exit codes: 0 done, or passed; 1 failed; 2 undecided; 64 a mistake in the command or in what it names; "
    "69 the service is away or refuses; 70 a bug; 74 a file cannot be read or written; 130 Ctrl-C."
)


def code_of(error: Exception) -> Code:
    """Of an error that a command says in one line."""
    from rdserve.client.errors import InputError, InvalidArgument, NotFound, RdserveError

    if isinstance(error, InputError | InvalidArgument | NotFound):
        return Code.USAGE
    if isinstance(error, RdserveError):  # some are OSErrors too
        return Code.UNAVAILABLE
    return Code.IO if isinstance(error, OSError) else Code.USAGE


def in_words(error: OSError) -> str:
    """The file and what is wrong with it: "report: No space left on device"."""
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def plain(message: str) -> str:
    """pydantic's words, in which typer too says what is wrong with a value, as a person would say it."""
    for theirs, ours in _PLAIN.items():
        message = message.replace(theirs, ours)
    return message


@contextmanager
def writing(place: object) -> Iterator[None]:
    """Within, an OSError that names no file, such as that of a full disk, gets this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(place)
        raise


@contextmanager
def documented() -> Iterator[None]:
    """Within, whatever a command raises ends in a code of `Code`."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except OSError as error:
        typer.echo(f"rdserve: {in_words(error)}", err=True)
        raise typer.Exit(Code.IO) from None
    except UsageError as error:
        error.exit_code, error.message = Code.USAGE, plain(error.message)
        raise
    except Exception:
        traceback.print_exc()
        raise typer.Exit(Code.BUG) from None
