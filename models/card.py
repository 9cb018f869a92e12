"""The card beside every checkpoint's weights: what the model is and where it stands. No torch here."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

FORMAT = "rdserve-checkpoint/1"
CARD_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"

# A tuple of the paper, or a kind of its own; `rdserve.models.families` builds each.
Family = Annotated[str, Field(pattern=r"^([-+][-+][-+v]|sparse[-+]|toy)$")]
# The binarisation of a discrete model's images: a single 1 in each.
ONE_HOT = "one-hot"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Nats = Annotated[float, Field(allow_inf_nan=False)]
StandardError = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# The shares of examples that lie at or below the five numbers of `Quantiles`.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


class CardError(ValueError):
    """A card that cannot be read, or that disagrees with what lies beside it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Architecture(_Part):
    """Everything `rdserve.models.families.build` needs. The paper's size is the default.

    family: encoder, decoder and marginal, "-" simple or "+" complex, "v" VampPrior (paper, section 4);
        or "sparse-", "sparse+": spike-and-slab codes, with that decoder; or "toy": tables over finitely
        many x and z, one-hot rows of image_size and latent_dim entries.
    image_size: side of square images, pixels; where there is an image_width too, their height.
    width: factor on every number of channels and hidden units of the paper's appendix F.
    active_share: probability under a sparse marginal that a latent is not 0.
    """

    family: Family
    image_size: Annotated[int, Field(ge=4, le=256)] = 28
    image_width: Annotated[int, Field(ge=4, le=256)] | None = None
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 64
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    n_pseudo_inputs: Annotated[int, Field(ge=1, le=10_000)] = 500
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.2

    @property
    def discrete(self) -> bool:
        """Whether images and latents are one-hot rows."""
        return self.family == "toy"

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return (1 if self.discrete else self.image_size, self.image_width or self.image_size)

    @model_validator(mode="after")
    def _rows_have_one_length(self) -> "Architecture":
        if self.discrete and self.image_width is not None:
            raise ValueError(f"family 'toy' has rows of image_size {self.image_size}, and no image_width")
        return self


class InputSpec(_Part):
    shape: tuple[int, int]
    binarisation: str

    @field_validator("shape", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class TrainedObjective(_Part):
    """What was minimised: distortion + beta * rate (eq. 6); beta rose from 0 over annealing_epochs."""

    name: str = "beta-vae"
    beta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    annealing_epochs: Annotated[int, Field(ge=0)] = 0


class TrainingData(_Part):
    name: str
    sha256: Sha256


class Weights(_Part):
    sha256: Sha256
    file: Literal["model.safetensors"] = "model.safetensors"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(values):
        raise ValueError(f"quantiles do not ascend: {list(values)}")
    return values


FiveNumbers = Annotated[
    tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat], AfterValidator(_ascending)
]


class Quantiles(_Part):
    """Over single examples, each with one draw of z: the values at LEVELS. The norm is of that z."""

    rate_nats: FiveNumbers
    distortion_nats: FiveNumbers
    latent_norm: FiveNumbers


class ReferenceScores(_Part):
    """Mean rate and distortion over a split, in nats, each with its standard error over examples."""

    split: str
    n_examples: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    n_samples: Annotated[int, Field(ge=1)]
    rate_nats: Nats
    rate_standard_error_nats: StandardError
    distortion_nats: Nats
    distortion_standard_error_nats: StandardError
    quantiles: Quantiles | None = None


class Card(_Part):
    """The contract of docs/checkpoint.md."""

    format: Literal["rdserve-checkpoint/1"] = "rdserve-checkpoint/1"
    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")] = "1.0"
    architecture: Architecture
    input: InputSpec
    likelihood: Literal["bernoulli", "categorical"] = "bernoulli"
    objective: TrainedObjective
    data: TrainingData
    weights: Weights
    code_version: str
    training: dict[str, str | int | float | bool] = {}
    reference: ReferenceScores


def read_card(folder: Path) -> Card:
    """The card in a checkpoint folder.

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
        return Card.model_validate_json(text)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CardError(f"{where}: " + "; ".join(faults)) from None


def write_card(card: Card, folder: Path) -> None:
    """Write the card, atomically: a reader sees the old one or the new one."""
    draft = folder / f".{CARD_FILE}.draft"
    draft.write_text(card.model_dump_json(indent=2, exclude_none=True) + "\n")
    draft.replace(folder / CARD_FILE)


def weights_sha256(folder: Path) -> str:
    """Hash of the weights file in a checkpoint folder."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_weights(card: Card, folder: Path) -> None:
    """Raises CardError where the weights are missing or are not those that the card describes."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise CardError(f"{folder}: no {WEIGHTS_FILE} here")
    try:
        found = weights_sha256(folder)
    except OSError as error:
        raise CardError(f"{folder}: cannot read {WEIGHTS_FILE}: {error.strerror}") from None
    if found != card.weights.sha256:
        raise CardError(f"{folder}: the card says weights {card.weights.sha256}, the file is {found}")
