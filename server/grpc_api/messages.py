"""What the registry knows, as messages."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from rdserve.models import card_recipe
from rdserve.models.card import Card, OnnxCard
from rdserve.models.card_parts import InputKind as Kind
from rdserve.models.card_parts import InputSpec
from rdserve.models.card_parts import Measure as MeasureName
from rdserve.server.registry import ModelRecord
from rdserve.v1.vae_pb2 import (
    INPUT_KIND_BINARY,
    INPUT_KIND_COUNTS,
    INPUT_KIND_LEVELS,
    INPUT_KIND_ONE_HOT,
    INPUT_KIND_REAL,
    MEASURE_COUNTING,
    MEASURE_LEBESGUE,
    InputKind,
    Law,
    Measure,
    Model,
    Reference,
)

KINDS: dict[Kind, InputKind.ValueType] = {
    "binary": INPUT_KIND_BINARY,
    "one_hot": INPUT_KIND_ONE_HOT,
    "levels": INPUT_KIND_LEVELS,
    "counts": INPUT_KIND_COUNTS,
    "real": INPUT_KIND_REAL,
}
MEASURES: dict[MeasureName, Measure.ValueType] = {"counting": MEASURE_COUNTING, "lebesgue": MEASURE_LEBESGUE}
BEFORE_KINDS = (INPUT_KIND_BINARY, INPUT_KIND_ONE_HOT)


def to_message(record: ModelRecord) -> Model:
    """A model as the wire shows it."""
    message = Model(
        name=record.name, state=record.state, state_reason=record.reason, **record.placement._asdict()
    )
    if record.card is not None:
        _describe(record.card, message)
    return message


def shown_to(card: Card | None, accept: Collection[InputKind.ValueType]) -> bool:
    """Whether a list of models names this one for who accepts these kinds of x; none: an old client."""
    if card is None:
        return True
    kind = KINDS[card.input.kind]
    return kind in accept if accept else kind in BEFORE_KINDS and len(card.input.shape) == 2


def _describe(card: Card, message: Model) -> None:
    message.version = card.version
    message.family = card.family
    if len(card.input.shape) == 2:
        message.image_shape.extend(card.input.shape)
    message.latent_dim = card.latent.size
    message.likelihood = card.likelihood.law
    message.binarisation = card.input.binarisation
    if card.objective:
        message.objective = card.objective.name
        message.beta = card.objective.beta
        message.annealing_epochs = card.objective.annealing_epochs
    message.data_name = card.data.name
    message.data_sha256 = card.data.sha256
    message.weights_sha256 = card.weights_sha256
    message.code_version = card.code_version
    message.recipe.update(card_recipe.recipe(card))
    if (seed := card_recipe.training_seed(card)) is not None:
        message.training_seed = seed
    message.reference.CopyFrom(Reference(**card.reference.model_dump(exclude={"quantiles"})))
    message.engine = card.engine
    _describe_x(card.input, message)
    message.latent_shape.extend(card.latent.shape)
    message.measure = MEASURES[card.likelihood.measure]
    message.likelihood_law.CopyFrom(_law(card.likelihood.law, card.likelihood.arguments))
    if isinstance(card, OnnxCard):
        message.posterior_law.CopyFrom(_law(card.posterior.law, card.posterior.arguments))
        message.marginal_law.CopyFrom(_law(card.marginal.law, card.marginal.arguments))


def _describe_x(x: InputSpec, message: Model) -> None:
    message.input_kind = KINDS[x.kind]
    message.input_shape.extend(x.shape)
    message.levels = x.levels or 0
    message.unit = x.unit
    message.preprocessing.extend(json.dumps(step, sort_keys=True) for step in x.preprocessing)


def _law(name: str, arguments: Mapping[str, Any]) -> Law:
    law = Law(name=name)
    law.arguments.update(
        {key: list(each) if isinstance(each, tuple) else each for key, each in arguments.items()}
    )
    return law
