"""`rdserve import`: what another library saved, as a model that is served."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, cast

import typer
from rdserve.cli.connection import failures_told
from rdserve.cli.data_choice import chosen
from rdserve.cli.exits import Code, writing
from rdserve.cli.options import DataRoot, DataSet, NSamples, Preprocess, Seed, Split
from rdserve.client import InputError, RdserveError
from rdserve.models.card_parts import LikelihoodLaw


class Library(StrEnum):
    """Whose files are read."""

    PYTHAE = "pythae"


class ImportedLaw(StrEnum):
    """Laws of x that a decoder of one number for each entry can give."""

    BERNOULLI = "bernoulli"
    CONTINUOUS_BERNOULLI = "continuous_bernoulli"
    NORMAL = "normal"


def import_model(
    library: Annotated[Library, typer.Argument(help="Who saved it.")],
    folder: Annotated[Path, typer.Argument(help="What it saved: model_config.json and model.pt.")],
    out: Annotated[
        Path, typer.Argument(help="Folder for the model; its name is the model's, without --name.")
    ],
    data: DataSet,
    split: Split = "test",
    preprocess: Preprocess = None,
    data_root: DataRoot = None,
    likelihood: Annotated[
        ImportedLaw | None, typer.Option(help="Law of x, if not that of the loss: bce bernoulli, mse normal.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Of x under a density: what 1 is, such as grey/255.")] = "",
    name: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    seed: Seed = 0,
    n_samples: NSamples = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
) -> None:
    """Write what another library saved as a folder that `rdserve serve` takes, and say what was measured.

    The card's numbers are of the split. The networks become graphs and are run beside torch; where the
    library's loss gives R and D itself, they are compared too. No code that a folder holds is run.
    """
    from rdserve.models.export.pythae_folder import CodeInFolder, export_pythae, read_pythae

    with failures_told():
        if find_spec(library.value) is None:
            raise RdserveError(f"{library.value} is not installed; pip install {library.value}")
        examples = chosen(data, split=split, root=data_root, preprocess=preprocess)
        try:
            model = read_pythae(folder, out=out, data=data, split=split)
            with writing(out):
                done = export_pythae(
                    model,
                    out,
                    examples,
                    likelihood=cast(LikelihoodLaw | None, likelihood and likelihood.value),
                    unit=unit,
                    name=name,
                    seed=seed,
                    n_samples=n_samples,
                    overwrite=overwrite,
                )
        except CodeInFolder as error:
            typer.echo(f"rdserve: {error}", err=True)
            raise typer.Exit(Code.USAGE) from None
        except ValueError as error:
            raise InputError(str(error)) from None
    typer.echo(done)
