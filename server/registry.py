"""Which models the service has, and how each of them is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rdserve.models.card import Card
from rdserve.server.errors import ModelFailed, ModelNotReady, UnknownModel
from rdserve.server.observability import call_context
from rdserve.server.worker_protocol import NOWHERE, Placement
from rdserve.v1 import vae_pb2
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, MODEL_STATE_LOADING, MODEL_STATE_SERVING, Model, ModelState


@dataclass(frozen=True)
class ModelRecord:
    """One model. card: None where it could not be read; the reason then says why.

    place: what it computed on when it last served.
    callers_wait: it does not serve, and will so soon that callers are better off waiting than refused.
    """

    name: str
    card: Card | None
    state: ModelState.ValueType = MODEL_STATE_LOADING
    reason: str = ""
    place: Placement = NOWHERE
    callers_wait: bool = False


class ModelRegistry:
    """The models by name. complete: false while more may come, so that none can be said not to be here."""

    def __init__(self) -> None:
        self._entries: dict[str, ModelRecord] = {}
        self.complete = True

    def __iter__(self) -> Iterator[ModelRecord]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def add(self, name: str, card: Card) -> None:
        """A model that is loading."""
        self._put(ModelRecord(name, card))

    def serving(self, name: str, card: Card, place: Placement) -> None:
        """The model answers; its card may not have been known."""
        self._put(ModelRecord(name, card, MODEL_STATE_SERVING, place=place))

    def loading(self, name: str, reason: str, *, callers_wait: bool = False) -> None:
        """The model has stopped answering and is brought back."""
        known = self.find(name)
        self._put(replace(known, state=MODEL_STATE_LOADING, reason=reason, callers_wait=callers_wait))

    def failed(self, name: str, reason: str) -> None:
        """The model does not answer; it need not be known yet."""
        known = self._entries.get(name, ModelRecord(name, None))
        self._put(replace(known, state=MODEL_STATE_FAILED, reason=reason, callers_wait=False))

    def find(self, name: str) -> ModelRecord:
        """The model called `name`; with `name@version`, that version of it and no other.

        Raises:
            UnknownModel: there is none.
            ModelNotReady: there is none yet.
        """
        plain, pinned, version = name.partition("@")
        if plain not in self._entries and not self.complete:
            raise ModelNotReady(f"the service is starting, and model {name[:128]!r} may be yet to come")
        if plain not in self._entries:
            raise UnknownModel(name, self._entries)
        entry = self._entries[plain]
        there = entry.card.version if entry.card else "?"
        if pinned and version != there:
            raise UnknownModel(name, [f"{plain}@{there}"])
        call_context.uses(plain, entry.card)
        return entry

    def ready(self, name: str) -> Card:
        """The card of a model that serves, or will before long.

        Raises:
            UnknownModel: there is none of that name.
            ModelFailed: it has failed, and whoever asks can only look elsewhere.
            ModelNotReady: it is loading.
        """
        entry = self.find(name)
        if (entry.state == MODEL_STATE_SERVING or entry.callers_wait) and entry.card is not None:
            return entry.card
        if entry.state == MODEL_STATE_FAILED:
            raise ModelFailed(f"model {name!r} has failed: {entry.reason}")
        raise ModelNotReady(f"model {name!r} is loading" + (f": {entry.reason}" if entry.reason else ""))

    def _put(self, entry: ModelRecord) -> None:
        self._entries[entry.name] = entry


def to_message(entry: ModelRecord) -> Model:
    """An entry as the wire shows it."""
    message = Model(name=entry.name, state=entry.state, state_reason=entry.reason, **entry.place._asdict())
    if entry.card is not None:
        _describe(entry.card, message)
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
    message.reference.CopyFrom(vae_pb2.Reference(**card.reference.model_dump(exclude={"quantiles"})))
