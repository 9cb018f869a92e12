"""A card's numbers, measured again from the stored weights: noise is keyed, so they come out the same."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rdserve.data import NAMES, load
from rdserve.data.preprocessing import NONE, from_words
from rdserve.models.card import Card, CardError
from rdserve.models.card_parts import ReferenceScores
from rdserve.models.engines import load_model
from rdserve.models.reference import reference
from rdserve.models.toy import vae as toy_vae
from rdserve.models.toy.laws import SHA256, toy_source
from rdserve.models.vae import VAE
from rdserve.trainer.toy import evaluate, exact_reference


def departures(
    folder: Path, data_root: Path | None, tolerance: float, data: str | None = None
) -> tuple[Card, list[str]]:
    """The card of a folder, and which of its reference's numbers the model does not give, in words.

    data: as of `measured`.

    Raises:
        CardError: no checkpoint, or one of other data than are at hand.
        DataError: the data are not at hand.
    """
    card, vae = load_model(folder)
    return card, list(differing(card.reference, measured(card, vae, data_root, data), tolerance))


def measured(card: Card, vae: VAE, data_root: Path | None = None, data: str | None = None) -> ReferenceScores:
    """The card's reference as its weights give it now, with the card's noise, over the whole split.

    data: name or path of the data set; without it, what it was trained on, where that was then.

    Raises:
        CardError: the card is of other data than are at hand.
        DataError: the data are not at hand.
    """
    if card.input.kind == "one_hot" and card.data.sha256 == SHA256:
        return exact_reference(evaluate(toy_vae.laws(vae), toy_source()))
    stated = card.reference
    name = data or str(card.training.get("data", card.data.name))
    steps = from_words(str(card.training.get("preprocess", NONE)))
    if steps is None:
        raise CardError(f"{card.name}: the card's preprocessing is {card.training['preprocess']!r}, no steps")
    if data is None and name not in NAMES and not Path(name).exists():
        raise CardError(f"{card.name}: the card is of {name}, which is not here; give its path with --data")
    split = load(name, split=stated.split, root=data_root, steps=steps)
    if split.sha256 != card.data.sha256:
        raise CardError(f"{card.name}: the card is of data {card.data.sha256}, here are {split.sha256}")
    images = torch.from_numpy(split.images)
    return reference(vae, images, stated.split, seed=stated.seed, n_samples=stated.n_samples)


def differing(stated: ReferenceScores, again: ReferenceScores, tolerance: float) -> Iterator[str]:
    """Each number that the card states and that is another by more than `tolerance`, in words."""
    now = _flat(again.model_dump())
    for name, then in _flat(stated.model_dump(exclude_none=True)).items():
        here = now[name]
        same = here == then or (
            isinstance(then, float)
            and isinstance(here, float)
            and math.isclose(then, here, rel_tol=0, abs_tol=tolerance)
        )
        if not same:
            yield f"the card states reference.{name} {then}, measured here it is {here}"


def _flat(fields: dict[str, Any], inside: str = "") -> dict[str, object]:
    """Numbers by dotted name: those of a tuple by their place."""
    found: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{inside}{name}.")
        elif isinstance(value, tuple):
            found |= {f"{inside}{name}[{place}]": each for place, each in enumerate(value)}
        else:
            found[f"{inside}{name}"] = value
    return found
