"""What every command that calls a service shares: options, and failures as one line."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rdserve.cli import exits
from rdserve.cli.private_server import private_service
from rdserve.cli.trust import chosen_trust
from rdserve.client import (
    Client,
    DeadlineExceeded,
    NotFound,
    RdserveError,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
    Unimplemented,
    Unreachable,
    Untrusted,
)
from rdserve.data import DataError

Server = Annotated[str, typer.Option(help="Address of the service, host:port.")]
Seed = Annotated[int, typer.Option(min=0, help="Names the noise; the same seed, the same numbers.")]
NSamples = Annotated[int, typer.Option(min=1, help="Samples per image.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one call may take.")]
Data = Annotated[str | None, typer.Option(help="A data set in place of a file: digits or static-mnist.")]
Split = Annotated[str, typer.Option(help="train, valid or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder with the data set's files, if not embedded.")]

ADDRESS = "localhost:50051"

_ADVICE: dict[type[ServiceError], str] = {
    Unreachable: "Is it running? `rdserve serve --models DIR` starts one",
    Untrusted: "See --tls, --tls-ca, --tls-cert and --tls-key",
    NotFound: "`rdserve models` lists them",
    Unimplemented: "Is that an rdserve service of this version?",
    DeadlineExceeded: "Give it longer with --timeout",
    Unauthenticated: "Give a token with --token-file or RDSERVE_TOKEN",
    ResourceExhausted: "Try again when it has less to do",
}


@contextmanager
def connection(server: str, *, timeout: float, models: Path | None = None) -> Iterator[Client]:
    """A client whose failures end the command, as `failures_told` says.

    With `models`, a client of a service over that folder, which lives as long.
    """
    with failures_told(server), ExitStack() as stack:
        if models is not None:
            server = stack.enter_context(private_service(models, partial(typer.echo, err=True)))
        trust = chosen_trust() if models is None else {}
        with failures_told(server):
            yield stack.enter_context(Client(server, timeout=timeout, **trust))


@contextmanager
def failures_told(server: str = "") -> Iterator[None]:
    """Within, a failure that a user can mend, or Ctrl-C, is one line on stderr and a code of `exits.Code`."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("rdserve: interrupted; calls in flight were cancelled", err=True)
        raise typer.Exit(exits.Code.INTERRUPTED) from None
    except (RdserveError, DataError, OSError) as error:
        typer.echo(f"rdserve: {_in_words(error, server)}", err=True)
        raise typer.Exit(exits.code_of(error)) from None


def _in_words(error: Exception, server: str) -> str:
    about = "".join(f"{note}: " for note in getattr(error, "__notes__", []))
    line = " ".join(f"{about}{error}".split()).rstrip(".")
    if not isinstance(error, ServiceError):
        return exits.in_words(error) if isinstance(error, OSError) else line
    said = line if server in line else f"{server}: {line}"
    advice = _ADVICE.get(type(error))
    return f"{said}{'' if said.endswith('?') else '.'} {advice}" if advice else said
