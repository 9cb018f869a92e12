"""What cards are made of: the shapes, kinds and laws of x and z, files and their hashes, measured numbers."""

from math import prod
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

# A tuple of the paper, or a kind of its own; `rdserve.models.families` builds each.
Family = Annotated[str, Field(pattern=r"^([-+][-+][-+v]|sparse[-+]|toy)$")]
# The binarisation of a discrete model's images: a single 1 in each.
ONE_HOT = "one-hot"
WEIGHTS_FILE = "model.safetensors"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Version = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Nats = Annotated[float, Field(allow_inf_nan=False)]
StandardError = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
# Whatever the trainer wants remembered.
Training = dict[str, str | int | float | bool]

MAX_AXES = 8
MAX_LEVELS = 2**16
MAX_EXAMPLES = 64

# The shares of examples that lie at or below the five numbers of `Quantiles`.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

# What x may be: 0 or 1; a single 1 among 0s; whole numbers below `levels`; whole numbers; any numbers.
InputKind = Literal["binary", "one_hot", "levels", "counts", "real"]
LatentKind = Literal["real", "one_hot", "codes", "sphere"]
PosteriorLaw = Literal["normal", "normal_full", "laplace", "one_hot", "von_mises_fisher", "codes", "graph"]
MarginalLaw = Literal[
    "standard_normal",
    "normal",
    "normal_mixture",
    "categorical",
    "uniform_codes",
    "uniform_sphere",
    "graph",
]
LikelihoodLaw = Literal[
    "bernoulli",
    "continuous_bernoulli",
    "categorical",
    "discretized_logistic",
    "discretized_logistic_mixture",
    "discretized_logistic_mixture_rgb",
    "normal",
    "laplace",
    "poisson",
    "negative_binomial",
    "beta_binomial",
]
# With respect to what -log d(x|z) is a density: points of a countable set, or volume in x's unit.
Measure = Literal["counting", "lebesgue"]
Argument = str | int | float | bool | tuple[float, ...]


def list_as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Shape = Annotated[tuple[Count, ...], BeforeValidator(list_as_tuple), Field(min_length=1, max_length=MAX_AXES)]
Arguments = dict[str, Annotated[Argument, BeforeValidator(list_as_tuple)]]


class Part(BaseModel):
    """Frozen, and strict: a misspelt or mistyped field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InputSpec(Part):
    """One x, as requests carry it.

    levels: of kind "levels": x is 0, 1, ..., levels - 1.
    unit: of kind "real": what one unit of x is, such as "grey/255" or "m". Densities are per unit.
    binarisation: of kind "binary": how grey levels became 0 or 1, in words.
    preprocessing: what became of the raw data, in order; see docs/data.md.
    """

    kind: InputKind = "binary"
    shape: Shape
    levels: Annotated[int, Field(ge=2, le=MAX_LEVELS)] | None = None
    unit: str = ""
    binarisation: str = ""
    preprocessing: Annotated[tuple[dict[str, Any], ...], BeforeValidator(list_as_tuple)] = ()

    @model_validator(mode="after")
    def _complete(self) -> "InputSpec":
        if (self.levels is not None) != (self.kind == "levels"):
            raise ValueError(f"levels is {self.levels}; kind 'levels' states how many, {self.kind!r} none")
        if self.kind == "real" and not self.unit:
            raise ValueError("kind 'real' states the unit of x, such as 'grey/255': densities are per unit")
        return self

    @property
    def size(self) -> int:
        """Numbers in one x."""
        return prod(self.shape)


class LatentSpec(Part):
    """One z: real numbers, rows of one 1 among 0s (last axis), whole numbers, or points on a sphere."""

    kind: LatentKind = "real"
    shape: Shape

    @property
    def size(self) -> int:
        """Numbers in one z."""
        return prod(self.shape)


class LikelihoodSpec(Part):
    """d(x|z).

    arguments: what the law takes beside what the decoder computes.
    autoregressive: the decoder sees x, and each entry's law only the entries before it in raster order.
    """

    law: LikelihoodLaw
    arguments: Arguments = Field(default_factory=dict)
    measure: Measure = "counting"
    autoregressive: bool = False


class PosteriorSpec(Part):
    """e(z|x). noise: of law "graph", how many standard normals it takes for one z."""

    law: PosteriorLaw
    arguments: Arguments = Field(default_factory=dict)
    noise: Count | None = None

    @model_validator(mode="after")
    def _noise_of_graphs(self) -> "PosteriorSpec":
        if (self.noise is not None) != (self.law == "graph"):
            raise ValueError(f"noise is {self.noise}; law 'graph' states how much, {self.law!r} none")
        return self


class FileSpec(Part):
    """A file of the folder."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(onnx|safetensors)$")]
    sha256: Sha256


class GraphSpec(FileSpec):
    """A graph, and what its outputs are to the law, in order."""

    outputs: Annotated[tuple[str, ...], BeforeValidator(list_as_tuple), Field(min_length=1)]


class MarginalSpec(Part):
    """m(z). tensors: the law's parameters. noise: of law "graph", standard normals for one z."""

    law: MarginalLaw
    arguments: Arguments = Field(default_factory=dict)
    tensors: FileSpec | None = None
    noise: Count | None = None


class Graphs(Part):
    """encoder: x -> parameters of e(z|x); or posterior: x, eps -> z, log_prob[, log_marginal].
    decoder: z, or z and x -> parameters of d(x|z).
    marginal_log_prob: z -> log_prob, and marginal_sample: eps -> z, of a marginal of law "graph".
    """

    encoder: GraphSpec | None = None
    posterior: GraphSpec | None = None
    decoder: GraphSpec
    marginal_log_prob: GraphSpec | None = None
    marginal_sample: GraphSpec | None = None

    @model_validator(mode="after")
    def _one_way_to_z(self) -> "Graphs":
        if (self.encoder is None) == (self.posterior is None):
            raise ValueError("either encoder or posterior, and not both")
        return self

    def given(self) -> dict[str, GraphSpec]:
        """Those that are there, by name."""
        return {name: graph for name in type(self).model_fields if (graph := getattr(self, name))}


class Architecture(Part):
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


class TrainedObjective(Part):
    """What was minimised: distortion + beta * rate (eq. 6); beta rose from 0 over annealing_epochs."""

    name: str = "beta-vae"
    beta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    annealing_epochs: Annotated[int, Field(ge=0)] = 0


class TrainingData(Part):
    name: str
    sha256: Sha256


class Weights(Part):
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


class Quantiles(Part):
    """Over single examples, each with one draw of z: the values at LEVELS. The norm is of that z."""

    rate_nats: FiveNumbers
    distortion_nats: FiveNumbers
    latent_norm: FiveNumbers


class ReferenceScores(Part):
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
