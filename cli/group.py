"""The group of all commands: lists them from a table, imports the one that is called."""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from rdserve.cli import COMMANDS, load
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class LazyGroup(TyperGroup):
    """Knows each command's name and one line of help until it is called."""

    def __init__(self, **settings: Any) -> None:
        settings["commands"] = {name: TyperCommand(name, help=lazy.help) for name, lazy in COMMANDS.items()}
        super().__init__(**settings)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, command, rest
        try:
            return name, get_command(load(name)), rest
        except ImportError as error:
            typer.echo(f"rdserve: {error}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="rdserve",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # `serve --host` is RDSERVE_SERVE_HOST, and so on: what containers are set up with.
    context_settings={"auto_envvar_prefix": "RDSERVE"},
    help="Serve latent-variable models, and compare them in the rate-distortion plane.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rdserve {version('rdserve')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Serve latent-variable models, and compare them in the rate-distortion plane."""
