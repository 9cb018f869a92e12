"""The group of all commands: lists them from a table, imports the one that is called."""

import os
from typing import Annotated, Any

import typer
from rdserve import __version__
from rdserve.cli import environment, exits
from rdserve.cli.command_table import COMMANDS, load
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class Command(TyperCommand):
    """One of them, loaded."""

    def get_help_option(self, ctx: Any) -> Any:
        return without_variable(super().get_help_option(ctx))


class LazyGroup(TyperGroup):
    """Knows each command's name and one line of help until it is called. How it ends: `rdserve.cli.exits`."""

    def __init__(self, **settings: Any) -> None:
        settings["commands"] = {name: TyperCommand(name, help=lazy.help) for name, lazy in COMMANDS.items()}
        super().__init__(**settings)

    def make_context(self, *args: Any, **settings: Any) -> Any:
        with exits.documented():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        with exits.documented():
            return super().invoke(ctx)

    def get_help_option(self, ctx: Any) -> Any:
        return without_variable(super().get_help_option(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, command, rest
        try:
            command = get_command(load(name, Command))
        except ImportError as error:
            typer.echo(f"rdserve: {error}", err=True)
            raise typer.Exit(exits.Code.UNAVAILABLE) from None
        for line in environment.mistyped(name, command.params, os.environ):
            typer.echo(f"rdserve: warning: {line}", err=True)
        return name, command, rest


def without_variable(option: Any) -> Any:
    """An option that no environment variable sets: with RDSERVE_HELP=1 a gate would pass without a run."""
    if option is not None:
        option.allow_from_autoenv = False
    return option


app = typer.Typer(
    name="rdserve",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": environment.PREFIX},
    help="Serve latent-variable models, and compare them in the rate-distortion plane.",
    epilog=exits.IN_HELP,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rdserve {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Serve latent-variable models, and compare them in the rate-distortion plane."""
