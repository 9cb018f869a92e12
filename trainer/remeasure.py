"""Cards written before a quantity was measured get it: `python -m rdserve.trainer.remeasure zoo/digits/*`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rdserve.data import DataError, load
from rdserve.models import checkpoint
from rdserve.models.card import Card, CardError, Reference, write_card
from rdserve.trainer.measure import reference


def remeasure(folder: Path, data_root: Path | None = None) -> Card:
    """Measure the stored weights again as the card's reference was, and write what the card did not state.

    Raises:
        CardError: a number that the card states comes out differently, or it was measured on other data.
        DataError: the data are not at hand.
    """
    card, vae = checkpoint.load(folder)
    stated = card.reference
    data = load(card.data.name, split=stated.split, root=data_root)
    if data.sha256 != card.data.sha256:
        raise CardError(f"{folder}: the card is of data {card.data.sha256}, here are {data.sha256}")
    images = torch.from_numpy(data.images)
    again = reference(vae, images, stated.split, seed=stated.seed, n_samples=stated.n_samples)
    _check(stated, again, folder)
    card = card.model_copy(update={"reference": again})
    write_card(card, folder)
    return card


def _check(stated: Reference, again: Reference, folder: Path) -> None:
    """Raises CardError unless every number stated is there again, to the last digit."""
    now = again.model_dump()
    for name, then in stated.model_dump(exclude_none=True).items():
        if now[name] != then:
            raise CardError(
                f"{folder}: the card states reference.{name} {then}, measured here it is {now[name]}; "
                "the card stays as it was. Measure where it was trained, with the same torch, on a CPU"
            )


def main(folders: Sequence[str]) -> int:
    """One line per checkpoint; 1 if any was refused."""
    refused = 0
    torch.set_num_threads(1)  # as `rdserve zoo` trains
    for folder in folders:
        try:
            print(remeasure(Path(folder)).name)
        except (CardError, DataError) as error:
            refused = 1
            print(error, file=sys.stderr)
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
