"""Which models the service has, and how each of them is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rdserve.models.card import Card
from rdserve.server.errors import FailedModel, ModelNotReady, UnknownModel
from rdserve.server.worker_protocol import NOWHERE, Placement
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, MODEL_STATE_LOADING, MODEL_STATE_SERVING, ModelState


@dataclass(frozen=True)
class ModelRecord:
    """One model. card: None where it could not be read; the reason then says why.

    placement: what it computed on when it last served.
    callers_wait: it does not serve, and will so soon that callers are better off waiting than refused.
    """

    name: str
    card: Card | None
    state: ModelState.ValueType = MODEL_STATE_LOADING
    reason: str = ""
    placement: Placement = NOWHERE
    callers_wait: bool = False

    def ready(self, asked: str) -> Card:
        """The card of a model that serves, or will before long. asked: the name that it was asked for by.

        Raises:
            FailedModel: it has failed, and whoever asks can only look elsewhere.
            ModelNotReady: it is loading.
        """
        if (self.state == MODEL_STATE_SERVING or self.callers_wait) and self.card is not None:
            return self.card
        if self.state == MODEL_STATE_FAILED:
            raise FailedModel(f"model {asked!r} has failed: {self.reason}")
        raise ModelNotReady(f"model {asked!r} is loading" + (f": {self.reason}" if self.reason else ""))


class ModelRegistry:
    """The models by name. complete: false while more may come, so that none can be said not to be here."""

    def __init__(self) -> None:
        self._records: dict[str, ModelRecord] = {}
        self.complete = True

    def __iter__(self) -> Iterator[ModelRecord]:
        return iter(sorted(self._records.values(), key=lambda record: record.name))

    def add(self, name: str, card: Card) -> None:
        """A model that is loading."""
        self._put(ModelRecord(name, card))

    def serving(self, name: str, card: Card, placement: Placement) -> None:
        """The model answers; its card may not have been known."""
        self._put(ModelRecord(name, card, MODEL_STATE_SERVING, placement=placement))

    def loading(self, name: str, reason: str, *, callers_wait: bool = False) -> None:
        """The model has stopped answering and is brought back."""
        known = self.find(name)
        self._put(replace(known, state=MODEL_STATE_LOADING, reason=reason, callers_wait=callers_wait))

    def failed(self, name: str, reason: str) -> None:
        """The model does not answer; it need not be known yet."""
        known = self._records.get(name, ModelRecord(name, None))
        self._put(replace(known, state=MODEL_STATE_FAILED, reason=reason, callers_wait=False))

    def find(self, name: str) -> ModelRecord:
        """The model called `name`; with `name@version`, that version of it and no other.

        Raises:
            UnknownModel: there is none.
            ModelNotReady: there is none yet.
        """
        plain, pinned, version = name.partition("@")
        if plain not in self._records and not self.complete:
            raise ModelNotReady(f"the service is starting, and model {name[:128]!r} may be yet to come")
        if plain not in self._records:
            raise UnknownModel(name, self._records)
        record = self._records[plain]
        there = record.card.version if record.card else "?"
        if pinned and version != there:
            raise UnknownModel(name, [f"{plain}@{there}"])
        return record

    def _put(self, record: ModelRecord) -> None:
        self._records[record.name] = record
