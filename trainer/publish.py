"""From a trained run to a checkpoint: measure every split, write weights and card."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from rdserve.data import Dataset
from rdserve.models import checkpoint
from rdserve.models.card import CARD_FILE, Card, TorchCard, read_card
from rdserve.models.card_parts import InputSpec, TrainedObjective, TrainingData, Weights
from rdserve.models.reference import Measured, measure, reference
from rdserve.trainer.config import Config, ConfigError, defaults_of, differences, parse
from rdserve.trainer.run import TrainingRun
from torch import Tensor


def published(config: Config, name: str, folder: Path) -> Card | None:
    """The card in the folder, or None where there is none yet.

    Raises:
        ConfigError: the checkpoint there is another one.
    """
    if not (folder / CARD_FILE).is_file():
        return None
    card = read_card(folder)
    if not set(defaults_of(config.data)) <= set(card.training):
        raise ConfigError(f"{folder} holds a checkpoint {card.name} of another trainer. Train elsewhere")
    # A field younger than the card has its default there.
    there = parse({field: card.training[field] for field in config.as_dict() if field in card.training})
    different = differences(there, config)
    if card.name != name:
        different.append(f"name is {card.name} there, {name} was asked for")
    if different:
        raise ConfigError(f"{folder} holds another checkpoint: {'; '.join(different)}. Train elsewhere")
    return card


def publish(
    run: TrainingRun, name: str, folder: Path, data: Mapping[str, Dataset], images: Mapping[str, Tensor]
) -> Card:
    """Write the checkpoint. The card's reference numbers are those of the stored weights."""
    epoch = run.config.epochs
    if run.config.keep == "best" and run.best:
        run.measured.load_state_dict(run.best.weights)
        epoch = run.best.epoch
    seed, n_samples = run.config.seed, run.config.reference_samples
    vae = run.measured.eval()
    dtype = run.config.weights_dtype
    checkpoint.round_weights(vae, getattr(torch, dtype))
    others = {
        split: measure(vae, images[split], seed=seed, n_samples=n_samples) for split in ("train", "valid")
    }
    card = TorchCard(
        name=name,
        architecture=run.config.architecture,
        input=InputSpec(shape=data["test"].images.shape[1:], binarisation=data["test"].binarisation),
        objective=TrainedObjective(
            name=run.config.objective, beta=run.config.beta, annealing_epochs=run.config.annealing_epochs
        ),
        data=TrainingData(name=data["test"].name, sha256=data["test"].sha256),
        weights=Weights(sha256="0" * 64, dtype=dtype),  # `save` states the real hash
        code_version=version("rdserve"),
        training={**run.config.as_dict(), "kept_epoch": epoch, **_others(others)},
        reference=reference(vae, images["test"], "test", seed=seed, n_samples=n_samples),
    )
    return checkpoint.save(vae, card, folder)


def _others(measured: Mapping[str, Measured]) -> dict[str, float]:
    """Rate and distortion of the splits beside the test split."""
    return {
        f"{split}_{quantity}_nats": value
        for split, of_split in measured.items()
        for quantity, value in of_split.means._asdict().items()
    }
