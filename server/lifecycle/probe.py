"""The question that a model must answer before it serves."""

import math

from rdserve.models.card import Card
from rdserve.models.input_values import random_values
from rdserve.v1.vae_pb2 import NoiseKeys, ScoreRequest, ScoreResponse
from rdserve.wire import tensors

ROWS = 4


class ProbeError(Exception):
    """The model did not answer, or its answer is no score."""


def golden_request(card: Card) -> ScoreRequest:
    """Score a few random x that the model takes; the same ones for every model of a shape and kind."""
    images = random_values(card.input, ROWS)
    return ScoreRequest(model=card.name, images=tensors.to_message(images), noise=NoiseKeys(seed=0))


def check_answer(card: Card, response: ScoreResponse) -> None:
    """Raises ProbeError unless there is one finite rate and distortion per image."""
    for name in ("rate_nats", "distortion_nats"):
        values = list(getattr(response, name))
        if len(values) != ROWS:
            raise ProbeError(f"model {card.name!r} returned {len(values)} {name} for {ROWS} images")
        if not all(map(math.isfinite, values)):
            raise ProbeError(f"model {card.name!r} returned {name} {values} for random x")
