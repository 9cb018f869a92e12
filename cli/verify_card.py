"""`rdserve verify CHECKPOINT`: the card's reference, measured again."""

from importlib.util import find_spec
from pathlib import Path

import typer


def verify_card(folder: Path, data_root: Path | None, tolerance: float) -> bool:
    """Say which numbers of the card come out differently; whether none does."""
    if find_spec("torch") is None:
        typer.echo("rdserve: a card is measured with torch; pip install 'rdserve[train]'", err=True)
        return False
    from rdserve.data import DataError
    from rdserve.models.card import CardError
    from rdserve.trainer.remeasure import departures

    try:
        card, found = departures(folder, data_root, tolerance)
    except (CardError, DataError) as error:
        typer.echo(f"rdserve: {error}", err=True)
        return False
    for line in found:
        typer.echo(f"{card.name}: {line}")
    split = f"{card.reference.n_examples} images of {card.data.name} ({card.reference.split})"
    done = (
        "DIFFERS from its card" if found else f"its card's numbers are reproduced within {tolerance:g} nats"
    )
    typer.echo(f"{card.name}: {done}, over {split}, {card.reference.n_samples} samples each")
    return not found
