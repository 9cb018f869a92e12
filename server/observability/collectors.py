"""The catalogue and the queues, read when someone looks."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from rdserve.models.card import Card
from rdserve.server.observability.metrics import DEPTH, IN_FLIGHT, INFO, STATE, WAITING_BYTES
from rdserve.server.registry import ModelRecord
from rdserve.v1.vae_pb2 import ModelState

STATES = {number: name.removeprefix("MODEL_STATE_").lower() for name, number in ModelState.items() if number}


class ModelCollector(Collector):
    """What models there are, and how each of them is."""

    def __init__(self, entries: Iterable[ModelRecord]) -> None:
        self._entries = entries

    def collect(self) -> Iterator[Metric]:
        entries = list(self._entries)
        yield INFO.read((_facts(entry.card), 1.0) for entry in entries if entry.card)
        yield STATE.read(
            ((entry.name, name), float(entry.state == number))
            for entry in entries
            for number, name in STATES.items()
        )


def _facts(card: Card) -> tuple[str, ...]:
    family, weights = card.architecture.family, card.weights.sha256
    return (card.name, card.version, family, weights, card.data.name, card.code_version)


class QueueCollector(Collector):
    """What waits. loads(): by model, requests that wait and calls under way; held_bytes(): of all."""

    def __init__(
        self, loads: Callable[[], dict[str, tuple[int, int]]], held_bytes: Callable[[], int]
    ) -> None:
        self._loads = loads
        self._held_bytes = held_bytes

    def collect(self) -> Iterator[Metric]:
        loads = sorted(self._loads().items())
        yield DEPTH.read(((model,), float(waiting)) for model, (waiting, _) in loads)
        yield IN_FLIGHT.read(((model,), float(calls)) for model, (_, calls) in loads)
        yield WAITING_BYTES.read([((), float(self._held_bytes()))])
