"""What the client returns: numpy arrays and facts in frozen dataclasses, never protobuf.

N rows, K samples per row, Z latents, H x W pixels. Nats per example.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import ReplyError
from rdserve.v1 import vae_pb2
from rdserve.wire import tensors
from rdserve.wire.names import instead

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
# Unknown names that one message speaks of.
MOST_SAID = 3
T = TypeVar("T", "Encoding", "Decoding", "Reconstruction", "Sample", "Score")


@dataclass(frozen=True)
class Encoding:
    """posterior_mode (N, Z): the most probable z. latents (N, K, Z): drawn from e(z|x).

    posterior_scale (N, Z): standard deviation of each latent; of an encoder with a flow (family "+.."), that
    of its Gaussian before the flow.
    """

    posterior_mode: Float32
    posterior_scale: Float32
    latents: Float32

    @property
    def sample_scale(self) -> Float32:
        """(N, Z): standard deviation of each latent over its K samples, whatever the encoder; NaN for K = 1.

        Of a Gaussian it is off by some 1 / sqrt(2 (K - 1)) of itself.
        """
        if self.latents.shape[1] < 2:
            return np.full(self.posterior_mode.shape, np.nan, np.float32)
        found: Float32 = self.latents.std(axis=1, ddof=1)
        return found


@dataclass(frozen=True)
class Decoding:
    """images (N, K, H, W), 0 or 1: samples of d(x|z)."""

    images: UInt8


@dataclass(frozen=True)
class Reconstruction:
    """latents (N, Z): the one z per image; images (N, K, H, W), 0 or 1: samples of d(x|z) given that z."""

    latents: Float32
    images: UInt8


@dataclass(frozen=True)
class Sample:
    """latents (N, Z): samples of m(z); images (N, K, H, W), 0 or 1: samples of d(x|z) for each."""

    latents: Float32
    images: UInt8


@dataclass(frozen=True)
class Score:
    """One value per example, all (N,).

    rate_is_exact: rates are closed forms, without Monte Carlo error.
    importance_bound_nats: lower bound on log p(x) from K samples; the ELBO of the sample for K = 1.
    importance_ess: effective number of the K importance samples, 1 to K.
    """

    rate_nats: Float64
    distortion_nats: Float64
    importance_bound_nats: Float64
    importance_ess: Float64
    rate_is_exact: bool

    @property
    def elbo_nats(self) -> Float64:
        """-(rate + distortion), (N,)."""
        return -(self.rate_nats + self.distortion_nats)


@dataclass(frozen=True)
class Reference:
    """Where the trainer found the model: means over a split, in nats, with standard errors over examples."""

    split: str
    n_examples: int
    seed: int
    n_samples: int
    rate_nats: float
    rate_standard_error_nats: float
    distortion_nats: float
    distortion_standard_error_nats: float


@dataclass(frozen=True)
class ModelInfo:
    """A model's card and its state in the server: "SERVING", "LOADING" or "FAILED", with the reason.

    A model without a card that can be read is FAILED: image_shape is None, the card's other facts are empty.
    input_shape, input_kind: of one x: "binary", "one_hot", "levels" (0 to levels - 1), "counts", or "real" in
    `unit`. image_shape: the same where x has two axes. measure: "counting" where exp(-D) is a probability,
    "lebesgue" where it is a density per unit. latent_shape: of one z. engine: "torch", or "onnx" for graphs.
    dtype, device: what its networks compute in and on, such as "float32" on "cpu AVX2"; empty where the
    server does not say.
    recipe: all that decided its training but the seed, by name; models of equal recipes are runs of one.
    Empty where the server does not say. training_seed: of its run; None where that is not known.
    """

    name: str
    version: str
    state: str
    state_reason: str
    family: str
    image_shape: tuple[int, int] | None
    latent_dim: int
    likelihood: str
    binarisation: str
    objective: str
    beta: float
    data_name: str
    data_sha256: str
    weights_sha256: str
    dtype: str
    code_version: str
    reference: Reference | None
    device: str = ""
    annealing_epochs: int = 0
    input_kind: str = "binary"
    input_shape: tuple[int, ...] = ()
    levels: int = 0
    unit: str = ""
    measure: str = ""
    latent_shape: tuple[int, ...] = ()
    preprocessing: tuple[str, ...] = ()
    engine: str = ""
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)
    training_seed: int | None = None

    @property
    def image_size(self) -> str:
        """ "28x28"; empty where the shape is unknown."""
        return "x".join(map(str, self.input_shape or self.image_shape or ()))

    @property
    def fault(self) -> str:
        """Why it does not answer, to follow its name: "is FAILED: ..."; empty where it serves."""
        if self.state == "SERVING":
            return ""
        return f"is {self.state}: {self.state_reason}" if self.state_reason else f"is {self.state}"


def unserved(names: Iterable[str], served: Iterable[str]) -> str:
    """What to say of those of the names that are not served; empty where all are."""
    known = list(served)
    unknown = [name for name in names if name not in known]
    said = [f"{name}; {instead(name, known)}" for name in unknown[:MOST_SAID]]
    more = f", and {len(unknown) - MOST_SAID} more" if len(unknown) > MOST_SAID else ""
    return f"not served: {', '.join(said)}{more}" if unknown else ""


def model_info(message: vae_pb2.Model) -> ModelInfo:
    """Raises ReplyError where a model that serves states no shape of x."""
    facts: dict[str, Any] = {field.name: getattr(message, field.name) for field in fields(ModelInfo)}
    image = tuple(message.image_shape)
    # Older services state image shapes alone, and no kind.
    shape = tuple(message.input_shape) or image
    if (not shape and message.state == vae_pb2.MODEL_STATE_SERVING) or len(image) not in (0, 2):
        raise ReplyError(f"model {message.name!r} has image shape {list(image)}, not (H, W)")
    facts["image_shape"] = image or None
    facts["input_shape"] = shape
    facts["latent_shape"] = tuple(message.latent_shape) or (
        (message.latent_dim,) if message.latent_dim else ()
    )
    facts["preprocessing"] = tuple(message.preprocessing)
    facts["input_kind"] = _word(vae_pb2.InputKind.Name, message.input_kind, "INPUT_KIND_") or "binary"
    facts["measure"] = _word(vae_pb2.Measure.Name, message.measure, "MEASURE_")
    facts["state"] = _state(message.state)
    facts["recipe"] = dict(message.recipe)
    facts["training_seed"] = message.training_seed if message.HasField("training_seed") else None
    facts["reference"] = _reference(message.reference) if message.HasField("reference") else None
    return ModelInfo(**facts)


def _state(state: int) -> str:
    names = {number: name.removeprefix("MODEL_STATE_") for name, number in vae_pb2.ModelState.items()}
    return names.get(vae_pb2.ModelState.ValueType(state), f"STATE_{state}")  # of a later version


def _word(name: Callable[[Any], str], number: int, prefix: str) -> str:
    """ "levels" of INPUT_KIND_LEVELS; empty where it is not stated, or of a later version."""
    try:
        word = name(number).removeprefix(prefix).lower()
    except ValueError:
        return ""
    return "" if word == "unspecified" else word


def _reference(message: vae_pb2.Reference) -> Reference:
    return Reference(**{field.name: getattr(message, field.name) for field in fields(Reference)})


# Of tensors, at least; the numbers of a score have one.
_AXES = {"posterior_mode": 2, "posterior_scale": 2, "latents": 2, "images": 3}
# Kinds of x that this client knows.
KINDS = tuple(kind for kind in vae_pb2.InputKind.values() if kind)


def _axes(kind: Any) -> dict[str, int]:
    """Axes of each field."""
    axes = {field.name: _AXES.get(field.name, 1) for field in fields(kind)}
    return axes | {"latents": 3} if kind is Encoding else axes


_AXES_OF: dict[type, dict[str, int]] = {
    kind: _axes(kind) for kind in (Encoding, Decoding, Reconstruction, Sample, Score)
}


def from_reply(kind: type[T], reply: object, n: int) -> T:
    """The dataclass of the same field names, checked to hold n rows. Its arrays may share the reply's bytes.

    Raises:
        ReplyError: a tensor that cannot be read, or other axes, or another number of rows.
    """
    values: dict[str, Any] = {}
    for name, axes in _AXES_OF[kind].items():
        value = getattr(reply, name)
        if not isinstance(value, bool):
            value = _array(value, name)
            if value.ndim != axes and (name not in _AXES or value.ndim < axes):
                raise ReplyError(f"{name} has {axes} axes, came back with shape {value.shape}")
            if len(value) != n:
                raise ReplyError(f"asked for {n} rows, {name} came back with {len(value)}")
        values[name] = value
    return kind(**values)


def _array(value: Any, name: str) -> tensors.Array:
    if not isinstance(value, vae_pb2.Tensor):
        return np.array(value, np.float64)
    try:
        array = tensors.to_array(value)
    except ValueError as error:
        raise ReplyError(f"{name}: {error}") from error
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def n_rows(result: Encoding | Decoding | Reconstruction | Sample | Score) -> int:
    """How many rows it holds."""
    return len(next(iter(vars(result).values())))


def split(result: T, sizes: Sequence[int]) -> list[T]:
    """So many rows each, in order, in arrays of their own; flags are the same for each."""
    parts: list[T] = []
    for size, stop in zip(sizes, accumulate(sizes), strict=True):
        part: dict[str, Any] = {}
        for name, value in vars(result).items():
            part[name] = value if isinstance(value, bool) else value[stop - size : stop].copy()
        parts.append(type(result)(**part))
    return parts


def concatenate(parts: Sequence[T]) -> T:
    """Rows of all parts, in order, in arrays that may be written to; flags hold if they hold for all.

    Raises:
        ReplyError: parts whose rows differ in shape.
    """
    joined: dict[str, Any] = {}
    for name, first in vars(parts[0]).items():
        values = [getattr(part, name) for part in parts]
        if isinstance(first, bool):
            joined[name] = all(values)
        elif len(values) == 1:
            joined[name] = first if first.flags.writeable else first.copy()
        elif len({value.shape[1:] for value in values}) > 1:
            raise ReplyError(f"{name} came back in rows of several shapes")
        else:
            joined[name] = np.concatenate(values)
    return type(parts[0])(**joined)
