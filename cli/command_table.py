"""Which commands there are, where each lives, and which extra it needs."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import typer
    from typer.core import TyperCommand


class Lazy(NamedTuple):
    """A command by where it lives: a function of rdserve.cli.commands.<module>, from an extra.

    function: its name, where that is not the command's.
    """

    module: str
    extra: str
    help: str
    function: str = ""


COMMANDS = {
    "train": Lazy("train", "train", "Train a VAE, or go on with the run in the folder."),
    "zoo": Lazy("train", "train", "Train every model of a recipe that is not there yet."),
    "import": Lazy(
        "import_model", "export", "Make a model that is served of what pythae saved.", "import_model"
    ),
    "package": Lazy("package", "server", "Verify checkpoints and make an archive of each."),
    "serve": Lazy("serve", "server", "Serve models over gRPC."),
    "health": Lazy("health", "", "Whether a service serves, as an exit code."),
    "models": Lazy("query", "compare", "List the models of a service."),
    "encode": Lazy("query", "compare", "Images to latents."),
    "reconstruct": Lazy("query", "compare", "Images to latents and back."),
    "sample": Lazy("query", "compare", "Draw images from a model."),
    "score": Lazy("query", "compare", "Rate and distortion of images under a model."),
    "compare": Lazy("compare", "compare", "Score a data set on several models, side by side."),
    "figures": Lazy("figures", "study", "Draw the paper's figures from a served zoo."),
    "results": Lazy("results", "study", "A zoo on every split, beside the paper's numbers."),
    "objectives": Lazy("objectives", "study", "Objectives at equal rate, over seeds."),
    "bounds": Lazy("bounds", "study", "What the codes of checkpoints tell of x, from both sides."),
    "bench": Lazy("bench", "server", "Measure a service's throughput and latency."),
    "verify": Lazy("verify", "compare", "Whether a comparison's numbers, or a card's, are reproduced."),
    "toy": Lazy("toy", "train,compare", "The paper's exact experiment: what an ELBO hides."),
}

# What tells that an extra is not installed.
SENTINELS = {
    "": (),
    "compare": ("matplotlib", "rich"),
    "train": ("torch", "safetensors"),
    "study": ("torch", "sklearn", "matplotlib", "rich"),
    "train,compare": ("torch", "matplotlib", "rich"),
    "export": ("torch", "onnxruntime", "onnxscript"),
    "server": ("torch", "httptools", "grpc_reflection"),
}


def load(name: str, kind: "type[TyperCommand] | None" = None) -> "typer.Typer":
    """The app of one command, imported now. kind: its class, if not typer's own.

    Raises:
        ImportError: its extra is not installed; the message says which.
    """
    import typer
    from rdserve.cli.option_groups import spread

    command = COMMANDS[name]
    missing = [package for package in SENTINELS[command.extra] if find_spec(package) is None]
    if missing:
        raise ImportError(
            f"`rdserve {name}` needs {', '.join(missing)}; pip install 'rdserve[{command.extra}]'"
        )
    app = typer.Typer(add_completion=False)
    module = import_module(f"rdserve.cli.commands.{command.module}")
    app.command(name, cls=kind)(spread(getattr(module, command.function or name)))
    return app
