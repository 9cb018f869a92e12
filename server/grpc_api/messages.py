"""What the registry knows, as messages."""

from rdserve.models import card_recipe
from rdserve.models.card import Card
from rdserve.server.registry import ModelRecord
from rdserve.v1.vae_pb2 import Model, Reference


def to_message(record: ModelRecord) -> Model:
    """A model as the wire shows it."""
    message = Model(
        name=record.name, state=record.state, state_reason=record.reason, **record.placement._asdict()
    )
    if record.card is not None:
        _describe(record.card, message)
    return message


def _describe(card: Card, message: Model) -> None:
    message.version = card.version
    message.family = card.architecture.family
    message.image_shape.extend(card.input.shape)
    message.latent_dim = card.architecture.latent_dim
    message.likelihood = card.likelihood
    message.binarisation = card.input.binarisation
    message.objective = card.objective.name
    message.beta = card.objective.beta
    message.annealing_epochs = card.objective.annealing_epochs
    message.data_name = card.data.name
    message.data_sha256 = card.data.sha256
    message.weights_sha256 = card.weights.sha256
    message.code_version = card.code_version
    message.recipe.update(card_recipe.recipe(card))
    if (seed := card_recipe.training_seed(card)) is not None:
        message.training_seed = seed
    message.reference.CopyFrom(Reference(**card.reference.model_dump(exclude={"quantiles"})))
