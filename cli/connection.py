"""What every command that calls a service shares: whom it trusts, and failures as one line."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rdserve.cli import exits
from rdserve.cli.private_server import private_service
from rdserve.client import (
    Client,
    DeadlineExceeded,
    InputError,
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

_ADVICE: dict[type[ServiceError], str] = {
    Unreachable: "Is it running? `rdserve serve --models DIR` starts one",
    Untrusted: "See --tls, --tls-ca, --tls-cert and --tls-key",
    NotFound: "`rdserve models` lists them",
    Unimplemented: "Is that an rdserve service of this version?",
    DeadlineExceeded: "Give it longer with --timeout",
    Unauthenticated: "Give a token with --token-file or RDSERVE_TOKEN",
    ResourceExhausted: "Try again when it has less to do",
}


TOKEN = "RDSERVE_TOKEN"
PANEL = "Trust"


@dataclass(frozen=True)
class Trust:
    """Whom to trust, and who calls."""

    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token to send; or set {TOKEN} to it.", rich_help_panel=PANEL),
    ] = None
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Use TLS, trusting this machine's authorities.", rich_help_panel=PANEL),
    ] = False
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="Use TLS, trusting the authority in this PEM file.", rich_help_panel=PANEL),
    ] = None
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file: the certificate to show the server.", rich_help_panel=PANEL),
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: its key.", rich_help_panel=PANEL)] = None

    def arguments(self) -> dict[str, Any]:
        """The `Client`'s of this meaning.

        Raises:
            InputError: the token file is not one token.
        """
        token = os.environ.get(TOKEN) if self.token_file is None else _read(self.token_file)
        return {
            "token": token or None,
            "tls": self.tls_ca or self.tls,
            "cert": self.tls_cert,
            "key": self.tls_key,
        }


@contextmanager
def connection(server: str, trust: Trust, *, timeout: float, models: Path | None = None) -> Iterator[Client]:
    """A client whose failures end the command, as `failures_told` says.

    With `models`, a client of a service over that folder, which lives as long.
    """
    with failures_told(server), ExitStack() as stack:
        if models is not None:
            server = stack.enter_context(private_service(models, partial(typer.echo, err=True)))
        arguments = trust.arguments() if models is None else {}
        with failures_told(server):
            yield stack.enter_context(Client(server, timeout=timeout, **arguments))


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


def _read(file: Path) -> str:
    try:
        words = file.read_bytes()[: 2**16].decode(errors="replace").split()
    except OSError as error:
        raise InputError(f"cannot read the token file {file}: {error.strerror}") from None
    if len(words) != 1:
        raise InputError(f"{file} holds {len(words)} words; a client's token file holds one token")
    return words[0]
