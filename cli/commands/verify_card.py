"""`rdserve verify CHECKPOINT`: the card's reference, measured again."""

from importlib.util import find_spec
from pathlib import Path

import typer
from rdserve.client import InputError, RdserveError


def verify_card(folder: Path, data_root: Path | None, tolerance: float, data: str | None = None) -> bool:
    """Say which numbers of the card come out differently; whether none does.

    data: name or path of the card's data set, where it is not where it was.

    Raises:
        RdserveError: torch is not installed.
        InputError: no checkpoint is there, or not the data that it names.
    """
    if find_spec("torch") is None:
        raise RdserveError("a card is measured with torch; pip install 'rdserve[train]'")
    from rdserve.data import DataError
    from rdserve.models.card import CardError
    from rdserve.trainer.verify import departures

    try:
        card, found = departures(folder, data_root, tolerance, data)
    except (CardError, DataError) as error:
        raise InputError(str(error)) from error
    for line in found:
        typer.echo(f"{card.name}: {line}")
    split = f"{card.reference.n_examples} images of {card.data.name} ({card.reference.split})"
    done = (
        "DIFFERS from its card" if found else f"its card's numbers are reproduced within {tolerance:g} nats"
    )
    typer.echo(f"{card.name}: {done}, over {split}, {card.reference.n_samples} samples each")
    return not found
