"""What the client returns: numpy arrays and facts in frozen dataclasses, never protobuf.

N rows, K samples per row, Z latents, H x W pixels. Nats per example.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
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
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)
    training_seed: int | None = None

    @property
    def image_size(self) -> str:
        """ "28x28"; empty where the shape is unknown."""
        return "x".join(map(str, self.image_shape or ()))

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
    """Raises ReplyError where the image shape is not (H, W); only a model that serves must have one."""
    facts: dict[str, Any] = {field.name: getattr(message, field.name) for field in fields(ModelInfo)}
    shape, serves = tuple(message.image_shape), message.state == vae_pb2.MODEL_STATE_SERVING
    if len(shape) != 2 and (shape or serves):
        raise ReplyError(f"model {message.name!r} has image shape {list(shape)}, not (H, W)")
    facts["image_shape"] = shape or None
    facts["state"] = _state(message.state)
    facts["recipe"] = dict(message.recipe)
    facts["training_seed"] = message.training_seed if message.HasField("training_seed") else None
    facts["reference"] = _reference(message.reference) if message.HasField("reference") else None
    return ModelInfo(**facts)


def _state(state: int) -> str:
    names = {number: name.removeprefix("MODEL_STATE_") for name, number in vae_pb2.ModelState.items()}
    return names.get(vae_pb2.ModelState.ValueType(state), f"STATE_{state}")  # of a later version


def _reference(message: vae_pb2.Reference) -> Reference:
    return Reference(**{field.name: getattr(message, field.name) for field in fields(Reference)})


_AXES = {"posterior_mode": 2, "posterior_scale": 2, "latents": 2, "images": 4}


def from_reply(kind: type[T], reply: object, n: int) -> T:
    """The dataclass of the same field names, checked to hold n rows.

    Raises:
        ReplyError: a tensor that cannot be read, or other axes, or another number of rows.
    """
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = getattr(reply, field.name)
        if isinstance(value, bool):
            values[field.name] = value
            continue
        array = values[field.name] = _array(value, field.name)
        axes = 3 if kind is Encoding and field.name == "latents" else _AXES.get(field.name, 1)
        if array.ndim != axes:
            raise ReplyError(f"{field.name} has {axes} axes, came back with shape {array.shape}")
        if len(array) != n:
            raise ReplyError(f"asked for {n} rows, {field.name} came back with {len(array)}")
    return kind(**values)


def _array(value: Any, name: str) -> tensors.Array:
    if not isinstance(value, vae_pb2.Tensor):
        return np.array(value, np.float64)
    try:
        array = tensors.to_array(value)
    except ValueError as error:
        raise ReplyError(f"{name}: {error}") from error
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def concatenate(parts: Sequence[T]) -> T:
    """Rows of all parts, in order; flags hold if they hold for all.

    Raises:
        ReplyError: parts whose rows differ in shape.
    """
    kind = type(parts[0])
    joined: dict[str, Any] = {}
    for field in fields(kind):
        values = [getattr(part, field.name) for part in parts]
        if not isinstance(values[0], bool) and len({value.shape[1:] for value in values}) > 1:
            raise ReplyError(f"{field.name} came back in rows of several shapes")
        joined[field.name] = all(values) if isinstance(values[0], bool) else np.concatenate(values)
    return kind(**joined)
