"""Options that every command that calls a service takes: whom to trust, and who calls."""

import functools
import inspect
import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from rdserve.client import InputError

TOKEN = "RDSERVE_TOKEN"
PANEL = "Trust"

_given: ContextVar[dict[str, Any] | None] = ContextVar("trust", default=None)


def trust(
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token to send; or set {TOKEN} to it.", rich_help_panel=PANEL),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Use TLS, trusting this machine's authorities.", rich_help_panel=PANEL),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="Use TLS, trusting the authority in this PEM file.", rich_help_panel=PANEL),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file: the certificate to show the server.", rich_help_panel=PANEL),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: its key.", rich_help_panel=PANEL)] = None,
) -> dict[str, Any]:
    """The `Client`'s arguments of these names' meaning.

    Raises:
        InputError: the token file is not one token.
    """
    token = os.environ.get(TOKEN) if token_file is None else _read(token_file)
    return {"token": token or None, "tls": tls_ca or tls, "cert": tls_cert, "key": tls_key}


_OPTIONS = inspect.signature(trust).parameters


def trusting(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `trust`; `chosen_trust` has their values while it runs."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        _given.set({name: arguments.pop(name) for name in _OPTIONS})
        command(**arguments)

    own = inspect.signature(command)
    parameters = [*own.parameters.values(), *_OPTIONS.values()]
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped


def chosen_trust() -> dict[str, Any]:
    """What the running command was given. Raises InputError as `trust`."""
    return trust(**(_given.get() or {}))


def _read(file: Path) -> str:
    try:
        words = file.read_bytes()[: 2**16].decode(errors="replace").split()
    except OSError as error:
        raise InputError(f"cannot read the token file {file}: {error.strerror}") from None
    if len(words) != 1:
        raise InputError(f"{file} holds {len(words)} words; a client's token file holds one token")
    return words[0]
