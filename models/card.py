"""The card of a model: what it is and where it stands, as JSON beside its weights or graphs. No torch here.

Two engines run models: "torch" the families of `rdserve.models.families`, "onnx" anybody's graphs.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError
from rdserve.models.card_parts import (
    Architecture,
    Count,
    FileSpec,
    Graphs,
    InputSpec,
    LatentSpec,
    LikelihoodSpec,
    MarginalSpec,
    Name,
    Part,
    PosteriorSpec,
    ReferenceScores,
    TrainedObjective,
    Training,
    TrainingData,
    Version,
    Weights,
)
from rdserve.models.checkpoint_format import CheckpointCard

FORMAT = "rdserve-model/1"
CARD_FILE = "model.json"


class CardError(ValueError):
    """A card that cannot be read, or that disagrees with what lies beside it."""


class _AnyCard(Part):
    """What every card states: the contract of docs/checkpoint.md."""

    format: Literal["rdserve-model/1"] = "rdserve-model/1"
    name: Name
    version: Version = "1.0"
    input: InputSpec
    likelihood: LikelihoodSpec = LikelihoodSpec(law="bernoulli")
    objective: TrainedObjective | None = None
    data: TrainingData
    code_version: str
    training: Training = Field(default_factory=dict)
    reference: ReferenceScores


class TorchCard(_AnyCard):
    """A model of one of our families."""

    engine: Literal["torch"] = "torch"
    architecture: Architecture
    weights: Weights

    @property
    def family(self) -> str:
        """The paper's tuple, or a kind of its own."""
        return self.architecture.family

    @property
    def latent(self) -> LatentSpec:
        """z, as the architecture makes it."""
        kind: Literal["one_hot", "real"] = "one_hot" if self.architecture.discrete else "real"
        return LatentSpec(kind=kind, shape=(self.architecture.latent_dim,))

    @property
    def files(self) -> dict[str, str]:
        """Hash of each file beside the card, by name."""
        return {self.weights.file: self.weights.sha256}

    @property
    def weights_sha256(self) -> str:
        """What tells this model's weights from others'."""
        return self.weights.sha256


class OnnxCard(_AnyCard):
    """A model that others made: graphs, and laws by name.

    examples: a few x of the data, under the name "x", with which the service tries the model.
    checks: what packaging measured, in nats.
    """

    engine: Literal["onnx"] = "onnx"
    latent: LatentSpec
    posterior: PosteriorSpec
    marginal: MarginalSpec
    graphs: Graphs
    examples: FileSpec
    checks: dict[str, float] = Field(default_factory=dict)
    opset: Count | None = None

    @property
    def family(self) -> str:
        """None of ours."""
        return ""

    @property
    def files(self) -> dict[str, str]:
        """Hash of each file beside the card, by name."""
        beside = [*self.graphs.given().values(), self.examples]
        if self.marginal.tensors:
            beside.append(self.marginal.tensors)
        return {each.file: each.sha256 for each in beside}

    @property
    def weights_sha256(self) -> str:
        """What tells this model's graphs and tensors from others': the hash of their names and hashes."""
        lines = (f"{name} {sha256}\n" for name, sha256 in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


Card = TorchCard | OnnxCard


def _which(document: object) -> str | None:
    """The engine of a card, or the contract before this one."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return "checkpoint"
    engine = document.get("engine")
    return engine if isinstance(engine, str) else None


_DOCUMENT: TypeAdapter[Card | CheckpointCard] = TypeAdapter(
    Annotated[
        Annotated[TorchCard, Tag("torch")]
        | Annotated[OnnxCard, Tag("onnx")]
        | Annotated[CheckpointCard, Tag("checkpoint")],
        Discriminator(
            _which,
            custom_error_type="engine",
            custom_error_message='engine: "torch" for a family of ours, "onnx" for graphs',
        ),
    ]
)


def read_card(folder: Path) -> Card:
    """The card in a model's folder.

    Raises:
        CardError: no card, or one that breaks the contract; the message names each field.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise CardError(f"{folder}: no {CARD_FILE} here")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CardError(f"{path}: cannot read it: {error.strerror}") from None
    return parse_card(text, where=str(path))


def parse_card(text: bytes, where: str) -> Card:
    """The card in `text`; `where` names its origin in errors.

    Raises:
        CardError: as `read_card`.
    """
    try:
        found = _DOCUMENT.validate_json(text)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        raise CardError(f"{where}: " + "; ".join(fault.removeprefix(": ") for fault in faults)) from None
    return _upgraded(found) if isinstance(found, CheckpointCard) else found


def _upgraded(old: CheckpointCard) -> TorchCard:
    return TorchCard(
        name=old.name,
        version=old.version,
        architecture=old.architecture,
        input=old.x,
        likelihood=old.law,
        objective=old.objective,
        data=old.data,
        weights=old.weights,
        code_version=old.code_version,
        training=old.training,
        reference=old.reference,
    )


def card_text(card: Card) -> str:
    """What a card's file says."""
    return card.model_dump_json(indent=2, exclude_none=True) + "\n"


def write_card(card: Card, folder: Path) -> None:
    """Write the card, atomically: a reader sees the old one or the new one."""
    draft = folder / f".{CARD_FILE}.draft"
    draft.write_text(card_text(card))
    draft.replace(folder / CARD_FILE)


def sha256_of(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_files(card: Card, folder: Path) -> None:
    """Raises CardError where a file is missing or is not the one that the card describes."""
    for name, stated in card.files.items():
        path = folder / name
        if not path.is_file():
            raise CardError(f"{folder}: no {name} here")
        try:
            found = sha256_of(path)
        except OSError as error:
            raise CardError(f"{folder}: cannot read {name}: {error.strerror}") from None
        if found != stated:
            raise CardError(f"{folder}: the card says {name} has sha256 {stated}, the file has {found}")
