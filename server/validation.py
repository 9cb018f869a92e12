"""Does a request fit the limits and its model? Every refusal quotes the two facts that disagree."""

import numpy as np
from rdserve.models.card import Card
from rdserve.server.chunks import output_row_bytes
from rdserve.server.errors import InvalidArgument
from rdserve.v1 import tensors
from rdserve.v1.limits import MAX_MESSAGE_BYTES, MAX_ROW_SAMPLES, MAX_ROWS, MAX_SAMPLES
from rdserve.v1.rows import Request, n_rows, n_samples, row_keys
from rdserve.v1.vae_pb2 import DTYPE_FLOAT32, DTYPE_FLOAT64, DecodeRequest, DType, SampleRequest, Tensor


def check(request: Request, card: Card) -> None:
    """Raises InvalidArgument where the request breaks a limit or does not fit the model."""
    if isinstance(request, DecodeRequest):
        _check_latents(request.latents, card)
    elif not isinstance(request, SampleRequest):
        _check_images(request.images, card)
    _check_counts(request)
    _check_noise(request)
    _check_answer(request, card)


def _check_images(images: Tensor, card: Card) -> None:
    height, width = card.input.shape
    shape = tuple(images.shape)
    if len(shape) != 3 or shape[1:] != card.input.shape:
        raise InvalidArgument(
            f"model {card.name!r} takes images of shape (N, {height}, {width}), got {_shown(shape)}",
            field="images",
        )
    pixels = _array(images, "images")
    if pixels.dtype == np.bool_:
        return
    grey = (pixels != 0) & (pixels != 1)
    if grey.any():
        where = tuple(int(i) for i in np.argwhere(grey)[0])
        raise InvalidArgument(
            f"model {card.name!r} takes binary pixels, 0 or 1, got {pixels[where]} at {where}; "
            f"binarise the images as the model's data were ({card.input.binarisation})",
            field="images",
        )


def _check_latents(latents: Tensor, card: Card) -> None:
    size = card.architecture.latent_dim
    shape = tuple(latents.shape)
    if len(shape) != 2 or shape[1] != size:
        raise InvalidArgument(
            f"model {card.name!r} takes latents of shape (N, {size}), got {_shown(shape)}", field="latents"
        )
    if latents.dtype not in (DTYPE_FLOAT32, DTYPE_FLOAT64):
        raise InvalidArgument(
            f"model {card.name!r} takes latents of DTYPE_FLOAT32 or DTYPE_FLOAT64, got {_dtype(latents)}",
            field="latents",
        )
    values = _array(latents, "latents")
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InvalidArgument(
            f"model {card.name!r} takes finite latents, got {values[where]} at {where}", field="latents"
        )


def _array(tensor: Tensor, field: str) -> tensors.Array:
    try:
        return tensors.to_array(tensor)
    except ValueError as error:
        raise InvalidArgument(f"{field}: {error}", field=field) from None


def _check_counts(request: Request) -> None:
    rows, samples = n_rows(request), n_samples(request)
    field = "n_latents" if isinstance(request, SampleRequest) else _input_field(request)
    if not 1 <= rows <= MAX_ROWS:
        raise InvalidArgument(f"a request holds 1 to {MAX_ROWS} rows, got {rows}", field=field)
    if samples > MAX_SAMPLES:
        raise InvalidArgument(f"n_samples is at most {MAX_SAMPLES}, got {samples}", field="n_samples")
    if rows * samples > MAX_ROW_SAMPLES:
        raise InvalidArgument(
            f"a request asks for at most {MAX_ROW_SAMPLES} samples, "
            f"got {rows} rows of {samples} = {rows * samples}",
            field="n_samples",
        )


def _check_noise(request: Request) -> None:
    try:
        row_keys(request.noise, n_rows(request))
    except ValueError as error:
        raise InvalidArgument(str(error), field="noise") from None


def _check_answer(request: Request, card: Card) -> None:
    """The answer must fit a message; that of Sample is streamed, so each of its rows must."""
    rows = 1 if isinstance(request, SampleRequest) else n_rows(request)
    size = rows * output_row_bytes(request, card)
    if size > MAX_MESSAGE_BYTES:
        raise InvalidArgument(
            f"the answer to {rows} rows of {n_samples(request)} samples takes {size} bytes, "
            f"a message at most {MAX_MESSAGE_BYTES}; ask for fewer at a time",
            field="n_samples",
        )


def _input_field(request: Request) -> str:
    return "latents" if isinstance(request, DecodeRequest) else "images"


def _shown(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= tensors.MAX_RANK else f"{len(shape)} axes"


def _dtype(tensor: Tensor) -> str:
    return DType.Name(tensor.dtype) if tensor.dtype in DType.values() else f"dtype {tensor.dtype}"
