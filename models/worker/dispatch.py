"""One request against one model: messages to tensors, the op, tensors to messages.

What a request holds was checked where it came in (`rdserve.server.grpc_api.validation`). Looked at again is
only its layout, on which it depends which rows are whose.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from rdserve.models import cancellation, ops
from rdserve.models.card import Card
from rdserve.models.distributions.autoregressive import DrawTooLarge
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.execution.config import ExecutionConfig
from rdserve.models.input_values import dtype_of
from rdserve.models.vae import VAE
from rdserve.v1.vae_pb2 import (
    DecodeRequest,
    DecodeResponse,
    EncodeRequest,
    EncodeResponse,
    ReconstructRequest,
    ReconstructResponse,
    SampleRequest,
    SampleResponse,
    ScoreRequest,
    ScoreResponse,
)
from rdserve.v1.vae_pb2 import Tensor as TensorMessage
from rdserve.v1.worker_pb2 import WorkReply
from rdserve.wire import batches, tensors
from rdserve.wire.limits import MAX_ROWS
from torch import Tensor


class BadRow(ValueError):
    """A request that does not fit the model."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotFinite(ArithmeticError):
    """The model produced NaN or an infinity."""


def run(vae: VAE, card: Card, request: batches.Request, config: ExecutionConfig) -> WorkReply:
    """The reply to one request.

    Raises:
        BadRow: shape, byte count or noise keys do not fit the model, or it draws nothing so large.
        NotFinite: the result is not finite.
        Abandoned: nobody waits for it.
    """
    name = batches.op_of(request)
    try:
        with config.computing():
            return WorkReply(**{name: OPS[name](vae, card, request, config)})
    except BadRow:
        raise
    except DrawTooLarge as error:
        raise BadRow("", f"model {card.name}: {error}") from None
    except ValueError as error:  # torch refuses a law whose parameters are NaN
        if "nan" not in str(error).lower():
            raise
        raise NotFinite("the model's networks produced NaN") from error


def _encode(vae: VAE, card: Card, request: EncodeRequest, config: ExecutionConfig) -> EncodeResponse:
    x, keys, k = _images(vae, request, card, config)
    parts = [ops.encode(vae, x[at], _at(keys, at), k) for at in _passes(x, k, config)]
    mode, scale, latents = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return EncodeResponse(
        posterior_mode=_floats(mode), posterior_scale=_floats(scale), latents=_floats(latents)
    )


def _decode(vae: VAE, card: Card, request: DecodeRequest, config: ExecutionConfig) -> DecodeResponse:
    z, keys = _latents(request, card, config)
    _, images = _drawn(
        card,
        len(z),
        batches.n_samples(request),
        config,
        lambda at, k: ops.decode(vae, z[at], _at(keys, at), k),
    )
    return DecodeResponse(images=images)


def _reconstruct(
    vae: VAE, card: Card, request: ReconstructRequest, config: ExecutionConfig
) -> ReconstructResponse:
    x, keys, n = _images(vae, request, card, config)
    z, images = _drawn(card, len(x), n, config, lambda at, k: ops.reconstruct(vae, x[at], _at(keys, at), k))
    return ReconstructResponse(latents=z, images=images)


def _sample(vae: VAE, card: Card, request: SampleRequest, config: ExecutionConfig) -> SampleResponse:
    keys = _keys(request, config)
    z, images = _drawn(
        card,
        request.n_latents,
        batches.n_samples(request),
        config,
        lambda at, k: ops.sample(vae, _at(keys, at), k),
    )
    return SampleResponse(latents=z, images=images)


def _score(vae: VAE, card: Card, request: ScoreRequest, config: ExecutionConfig) -> ScoreResponse:
    x, keys, k = _images(vae, request, card, config)
    parts = [ops.score(vae, x[at], _at(keys, at), k) for at in _passes(x, k, config)]
    columns = list(zip(*parts, strict=True))
    rate, distortion, bound, ess = (_finite(torch.cat(column)).tolist() for column in columns[:4])
    return ScoreResponse(
        rate_nats=rate,
        distortion_nats=distortion,
        importance_bound_nats=bound,
        importance_ess=ess,
        rate_is_exact=parts[0].rate_is_exact,
    )


OPS: dict[str, Callable[..., Any]] = {
    "encode": _encode,
    "decode": _decode,
    "reconstruct": _reconstruct,
    "sample": _sample,
    "score": _score,
}


def chunks(n: int, n_samples: int, at_once: int) -> Iterator[slice]:
    """Rows 0 to n in runs of at most `at_once` images, counting each row n_samples times."""
    return batches.slices(n, max(1, at_once // n_samples))


def _passes(x: Tensor, n_samples: int, config: ExecutionConfig) -> Iterator[slice]:
    """Rows of x (N, H, W) for each pass through whole networks."""
    return cancellation.between(chunks(len(x), n_samples, config.images_per_pass(x[0].numel())))


def _drawn(
    card: Card,
    n: int,
    n_samples: int,
    config: ExecutionConfig,
    draw: Callable[[slice, int], ops.DecodeResult],
) -> tuple[TensorMessage, TensorMessage]:
    parts = [draw(at, n_samples) for at in cancellation.between(chunks(n, n_samples, config.at_once))]
    z, images = (torch.cat(column) for column in zip(*parts, strict=True))
    return _floats(z), tensors.to_message(_finite(images).cpu().numpy().astype(dtype_of(card.input)))


def _images(
    vae: VAE, request: EncodeRequest | ReconstructRequest | ScoreRequest, card: Card, config: ExecutionConfig
) -> tuple[Tensor, NoiseKeys, int]:
    array = _array(request.images, "images", card.input.shape, f"images of model {card.name}")
    x = config.upload(array.astype(np.float32)).to(vae.dtype)
    return x, _keys(request, config), batches.n_samples(request)


def _latents(request: DecodeRequest, card: Card, config: ExecutionConfig) -> tuple[Tensor, NoiseKeys]:
    array = _array(request.latents, "latents", card.latent.shape, f"latents of model {card.name}")
    z = config.upload(array.astype(np.float32))
    return z, _keys(request, config)


def _array(message: TensorMessage, field: str, row: tuple[int, ...], what: str) -> tensors.Array:
    try:
        array = tensors.to_array(message)
    except ValueError as error:
        raise BadRow(field, str(error)) from None
    if array.shape[1:] != row or not len(array):
        wanted = ", ".join(("N", *map(str, row)))
        raise BadRow(field, f"{what} have shape ({wanted}) with N >= 1, got {array.shape}")
    return array


def _keys(request: batches.Request, config: ExecutionConfig) -> NoiseKeys:
    n = batches.n_rows(request)
    if not n:
        raise BadRow("n_latents", "asked for 0 rows; ask for at least 1")
    if n > MAX_ROWS:
        raise BadRow("n_latents", f"asked for {n} rows; at most {MAX_ROWS} a request")
    try:
        seeds, ids = batches.row_keys(request.noise, n)
    except ValueError as error:
        raise BadRow("noise", str(error)) from None
    return NoiseKeys(*(config.upload(words.view(np.int64)) for words in (seeds, ids)))


def _at(keys: NoiseKeys, at: slice) -> NoiseKeys:
    return NoiseKeys(keys.seed[at], keys.example[at])


def _floats(values: Tensor) -> TensorMessage:
    return tensors.to_message(_finite(values).float().cpu().numpy())


def _finite(values: Tensor) -> Tensor:
    if not values.isfinite().all():
        bad = int((~values.isfinite()).sum())
        raise NotFinite(f"{bad} of {values.numel()} results are NaN or infinite")
    return values
