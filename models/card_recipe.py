"""What a card says of how its model came about: the recipe, of which a run is one seed. No torch here."""

import re

from rdserve.models.card import Card, TorchCard

# What our trainer's entries were before there were any: an older card shares the recipe of a younger one.
DEFAULTS: dict[str, str] = {
    "objective": "beta-vae",
    "beta": "1",
    "annealing_epochs": "0",
    "target_rate": "0",
    "free_nats": "0",
    "info_alpha": "0",
    "info_lambda": "1",
    "importance_samples": "1",
    "active_share": "0.2",
    "schedule": "half-linear",
    "warmup_epochs": "0",
    "average_epochs": "0",
    "dropout": "0",
    "precision": "float32",
    "execution": "eager",
    "weights_dtype": "float32",
    "data_sha256": "",
    "preprocess": "none",
    "start": "",
}
# Entries of `training` that came out rather than went in.
_OUTCOME = re.compile(r"kept_epoch|class_accuracy|(\w+_)?(rate|distortion|information|misfit)_nats")
SEED = "seed"
# Of our trainer's cards alone.
_OURS = "optimiser"


def recipe(card: Card) -> dict[str, str]:
    """All that decides the training but its seed, as text: architecture, objective, data, code, `training`.

    Models of equal recipes are runs of one. Left out of `training` are the seed and what was measured.
    """
    facts: dict[str, str | int | float | bool] = {
        **(DEFAULTS if _OURS in card.training else {}),
        **{name: it for name, it in card.training.items() if name != SEED and not _OUTCOME.fullmatch(name)},
        **_networks(card),
        **_minimised(card),
        "likelihood": card.likelihood.law,
        "binarisation": card.input.binarisation,
        "data": card.data.name,
        "data_sha256": card.data.sha256,
        "code_version": card.code_version,
    }
    return {name: _text(value) for name, value in sorted(facts.items())}


def _networks(card: Card) -> dict[str, str | int | float | bool]:
    """What they are: an architecture of ours, or graphs of which only the model itself is an instance."""
    if isinstance(card, TorchCard):
        return {**card.architecture.model_dump(exclude_none=True), "weights_dtype": card.weights.dtype}
    return {"graphs": card.weights_sha256}


def _minimised(card: Card) -> dict[str, str | int | float | bool]:
    if card.objective is None:
        return {}
    return {"objective": card.objective.name, **card.objective.model_dump(exclude={"name"})}


def training_seed(card: Card) -> int | None:
    """The seed of its run; None where the card has none that is a number of 64 bits."""
    seed = card.training.get(SEED)
    if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**64:
        return seed
    return None


def _text(value: str | float | bool) -> str:
    """A whole number is one number, however its card writes it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
