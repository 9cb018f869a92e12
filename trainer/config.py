"""What a training run is. Equal configs end in the same weights, bit for bit, on one machine's CPU."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from rdserve.data import NAMES, DataError
from rdserve.data.files import is_file
from rdserve.data.preprocessing import NONE
from rdserve.models.card_parts import Architecture, Name
from rdserve.trainer.own_data import settings_of

Positive = Annotated[int, Field(ge=1)]


class ConfigError(ValueError):
    """A config that cannot be, or not the one that is already under way."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """Everything that decides the weights.

    data: a data set's name, or the path of one's own; data_sha256: of the latter.
    preprocess: steps from the data to binary images, as `rdserve.data.preprocessing.words` writes them.
    image_size: side of square images, pixels; where there is an image_width too, their height.
    annealing_epochs: beta rises linearly from 0 over so many epochs; 0: none.
    target_rate: nats, for the objectives target-rate and geco; free_nats: for free-bits.
    info_alpha, info_lambda: for info-vae; importance_samples: for iwae.
    active_share: of the latents of sparse families, under their marginal.
    learning_rate: before its schedule; warmup_epochs: over which it rises from 0 to there.
    schedule: constant for the first half of training, then linear to 0 (`half-linear`; paper, appendix F.4);
        or constant, linear or cosine to 0, from the end of the warm-up on.
    average_epochs: an exponential moving average of the weights, over about so many epochs, is what is
        measured and kept (Polyak and Juditsky, 1992); 0: the weights themselves.
    dropout: probability, within the gated layers of autoregressive decoders (Salimans et al., 2017).
    keep: the weights of the last epoch, or of the one where the objective is least on the validation split.
    reference_samples: posterior samples per image for the numbers in the card.
    start: name of the checkpoint whose weights it starts from; "": random ones.
    precision: bfloat16 runs convolutions and products in it, on channels-last tensors.
    execution: compile runs the networks through torch.compile, which takes minutes at the start.
    weights_dtype: in which the checkpoint stores the weights; the card's numbers are of those.
    """

    data: str
    image_size: Positive
    family: Annotated[str, Field(pattern=r"^([-+][-+][-+v]|sparse[-+])$")]
    latent_dim: Positive
    width: Annotated[float, Field(gt=0)]
    n_pseudo_inputs: Positive
    epochs: Positive
    batch_size: Positive
    optimiser: Literal["normalised-adam", "adam"]
    learning_rate: Annotated[float, Field(gt=0)]
    keep: Literal["last", "best"]
    reference_samples: Positive
    image_width: Positive | None = None
    preprocess: str = NONE
    data_sha256: str = ""
    objective: Literal["beta-vae", "target-rate", "geco", "free-bits", "info-vae", "iwae"] = "beta-vae"
    beta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    annealing_epochs: Annotated[int, Field(ge=0)] = 0
    target_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    free_nats: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    info_alpha: Annotated[float, Field(le=1, allow_inf_nan=False)] = 0.0
    info_lambda: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    importance_samples: Positive = 1
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    schedule: Literal["half-linear", "constant", "linear", "cosine"] = "half-linear"
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    average_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    execution: Literal["eager", "compile"] = "eager"
    weights_dtype: Literal["float32", "float16"] = "float32"
    start: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @property
    def architecture(self) -> Architecture:
        return Architecture(
            family=self.family,
            image_size=self.image_size,
            image_width=self.image_width,
            latent_dim=self.latent_dim,
            width=self.width,
            n_pseudo_inputs=self.n_pseudo_inputs,
            active_share=self.active_share,
        )

    def steps_per_epoch(self, n: int) -> int:
        """Of n training images."""
        return -(-n // self.batch_size)

    def as_dict(self) -> dict[str, str | int | float]:
        """What is None is left out, as cards have no such value."""
        return {name: value for name, value in asdict(self).items() if value is not None}


# The paper's (section 4, appendix F), of both its data sets; digits are small enough for a laptop.
PAPER: dict[str, Any] = {
    "image_size": 28,
    "latent_dim": 64,
    "width": 1.0,
    "n_pseudo_inputs": 500,
    "epochs": 200,
    "batch_size": 100,
    "keep": "last",
    "optimiser": "normalised-adam",
    "learning_rate": 3e-4,
    "reference_samples": 1,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "static-mnist": PAPER,
    "digits": {
        "image_size": 8,
        "latent_dim": 16,
        "width": 0.25,
        "n_pseudo_inputs": 64,
        "epochs": 60,
        "batch_size": 50,
        "keep": "best",
        "optimiser": "adam",
        "learning_rate": 3e-3,
        "reference_samples": 16,
    },
    "omniglot": PAPER,
}


# Of one's own images, whose size they decide: between the two, for a CPU.
OWN: dict[str, Any] = {
    "latent_dim": 16,
    "width": 0.25,
    "n_pseudo_inputs": 64,
    "epochs": 30,
    "batch_size": 50,
    "keep": "best",
    "optimiser": "adam",
    "learning_rate": 3e-3,
    "reference_samples": 1,
}
# The same shapes as the paper's, narrower, for a CPU.
COMPACT: dict[str, Any] = {
    "width": 0.25,
    "n_pseudo_inputs": 125,
    "epochs": 12,
    "batch_size": 50,
    "optimiser": "adam",
    "learning_rate": 3e-3,
    "precision": "bfloat16",
}
# What a named size changes in the data set's defaults.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "static-mnist": {"paper": {}, "compact": COMPACT},
    "omniglot": {"paper": {}, "compact": COMPACT},
}


def configure(
    family: str, data: str, *, size: str | None = None, data_root: Path | None = None, **given: Any
) -> Config:
    """A config with the data set's defaults, or its named size's, wherever nothing, or None, is given.

    data: a data set's name, or the path of one's own binary images, which is read for their size.
    data_root: as of `rdserve.data.read`.

    Raises:
        ConfigError: an unknown data set, size or setting, data that are no binary images, or a value out of
            range.
    """
    sizes = SIZES.get(data, {})
    if size is not None and size not in sizes:
        raise ConfigError(f"no size {size!r} for data set {data!r}; there are {', '.join(sizes) or 'none'}")
    chosen = {name: value for name, value in given.items() if value is not None}
    defaults = {**defaults_of(data), **sizes.get(size or "", {})}
    fields = {**defaults, **chosen, "family": family, "data": data}
    if data in DEFAULTS:
        return parse(fields)
    try:
        return parse(fields | settings_of(data, chosen.get("preprocess", NONE), data_root))
    except DataError as error:
        raise ConfigError(str(error)) from None


def defaults_of(data: str) -> dict[str, Any]:
    """Raises ConfigError for what is neither a data set's name nor a path."""
    if data not in (*DEFAULTS, *NAMES) and not is_file(data):
        known = f"there are {', '.join(DEFAULTS)}, or the path of your own"
        raise ConfigError(f"no defaults for data set {data!r}; {known}")
    return DEFAULTS.get(data, OWN)


def parse(fields: dict[str, Any]) -> Config:
    """A config from its fields.

    Raises:
        ConfigError: a field is missing, unknown or out of range; the message names each.
    """
    try:
        return TypeAdapter(Config).validate_python(fields)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors())
        raise ConfigError("; ".join(faults)) from None


def require_name(name: str) -> None:
    """Say before training, not after it, that no card may bear a name.

    Raises:
        ConfigError: see `Name`.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        allowed = "up to 128 letters, digits, '_', '.' and '-', a letter or a digit first"
        raise ConfigError(f"no model can be named {name!r}; give it a name of {allowed}") from None


def differences(there: Config, asked: Config) -> list[str]:
    """Each field that differs, in words."""
    old, new = asdict(there), asdict(asked)
    return [
        f"{name} is {old[name]} there, {new[name]} was asked for" for name in old if old[name] != new[name]
    ]
