"""Tiny models with random weights, and cards that say so."""

from rdserve.models.card import TorchCard
from rdserve.models.card_parts import (
    Architecture,
    InputSpec,
    ReferenceScores,
    TrainedObjective,
    TrainingData,
    Weights,
)

NO_HASH = "0" * 64


def tiny_card(name: str, architecture: Architecture, **changes: object) -> TorchCard:
    """A card for a model that nobody trained; `changes` replace whole fields."""
    size = architecture.image_size
    card = TorchCard(
        name=name,
        architecture=architecture,
        input=InputSpec(shape=(size, size), binarisation="none"),
        objective=TrainedObjective(beta=1.0),
        data=TrainingData(name="digits", sha256=NO_HASH),
        weights=Weights(sha256=NO_HASH),
        code_version="0",
        reference=ReferenceScores(
            split="test",
            n_examples=1,
            seed=0,
            n_samples=1,
            rate_nats=1.0,
            rate_standard_error_nats=0.1,
            distortion_nats=2.0,
            distortion_standard_error_nats=0.1,
        ),
    )
    return card.model_copy(update=changes)
