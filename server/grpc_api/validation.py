"""Is the model there, and does a request fit it and the limits? Every refusal quotes what disagrees.

This is the boundary of trust: a worker looks again only at the layout, on which it depends which rows are
whose.
"""

import math
from collections.abc import Callable

import numpy as np
from rdserve.models.card import Card
from rdserve.models.input_values import said, wrong
from rdserve.server.batching.chunking import output_row_bytes
from rdserve.server.errors import InvalidRequest
from rdserve.server.observability import call_context
from rdserve.server.registry import ModelRecord, ModelRegistry
from rdserve.v1.vae_pb2 import (
    DTYPE_FLOAT32,
    DTYPE_FLOAT64,
    DTYPE_PACKED_BITS,
    DecodeRequest,
    DType,
    SampleRequest,
    Tensor,
)
from rdserve.wire import tensors
from rdserve.wire.batches import Request, check_keys, n_rows, n_samples
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MAX_ROW_SAMPLES, MAX_ROWS, MAX_SAMPLES

# Values looked at together.
BLOCK = 2**18


def find(name: str, registry: ModelRegistry) -> ModelRecord:
    """The model of that name; the record of the RPC under way is about it from now on.

    Raises:
        UnknownModel, ModelNotReady: as `ModelRegistry.find`.
    """
    record = registry.find(name)
    call_context.uses(record.name, record.card.version if record.card else "")
    return record


def accept(request: Request, registry: ModelRegistry) -> Card:
    """The card of a request's model. From here on its plain name counts: a pinned version is met.

    Raises:
        UnknownModel, FailedModel, ModelNotReady: nobody can answer it, or not yet.
        InvalidRequest: as `check`.
    """
    card = find(request.model, registry).ready(request.model)
    request.model = card.name
    check(request, card)
    return card


def check(request: Request, card: Card) -> None:
    """Raises InvalidRequest where the request breaks a limit or does not fit the model."""
    # From cheap to dear: values are looked at when everything else is right.
    if isinstance(request, DecodeRequest):
        _check_axes(request.latents, card.latent.shape, card, "latents")
    elif not isinstance(request, SampleRequest):
        _check_axes(request.images, card.input.shape, card, "images")
    _check_counts(request)
    _check_noise(request)
    _check_answer(request, card)
    if isinstance(request, DecodeRequest):
        _check_latents(request.latents, card)
    elif not isinstance(request, SampleRequest):
        _check_images(request.images, card)


def _check_axes(tensor: Tensor, row: tuple[int, ...], card: Card, field: str) -> None:
    # Length first: a hostile shape has millions of axes.
    if len(tensor.shape) == 1 + len(row) and tuple(tensor.shape[1:]) == row:
        return
    wanted = ", ".join(("N", *map(str, row)))
    shown = str(tuple(tensor.shape)) if len(tensor.shape) <= tensors.MAX_RANK else f"{len(tensor.shape)} axes"
    same = len(tensor.shape) <= tensors.MAX_RANK and math.prod(tensor.shape[1:]) == math.prod(row)
    hint = f"; as many numbers: reshape to ({wanted})" if same else ""
    raise InvalidRequest(
        f"model {card.name!r} takes {field} of shape ({wanted}), got {shown}{hint}", field=field
    )


def _check_images(images: Tensor, card: Card) -> None:
    _check_size(images, "images")
    if images.dtype != DTYPE_PACKED_BITS:
        _check_values(images, card)
    if card.input.kind == "one_hot":
        _check_one_hot(images, card, "images")


def _check_values(images: Tensor, card: Card) -> None:
    values = tensors.to_array(images)
    where = _first(values, wrong(card.input))
    if where is None:
        return
    how = card.input.binarisation
    cure = f"; binarise the images as the model's data were ({how})" if how else ""
    raise InvalidRequest(
        f"model {card.name!r} takes {said(card.input)}, got {values[where]} at {where}{cure}", field="images"
    )


def _check_latents(latents: Tensor, card: Card) -> None:
    if latents.dtype not in (DTYPE_FLOAT32, DTYPE_FLOAT64):
        raise InvalidRequest(
            f"model {card.name!r} takes latents of DTYPE_FLOAT32 or DTYPE_FLOAT64, got {_dtype(latents)}",
            field="latents",
        )
    _check_size(latents, "latents")
    values = tensors.to_array(latents)
    where = _first(values, lambda part: ~np.isfinite(part))
    if where is not None:
        raise InvalidRequest(
            f"model {card.name!r} takes finite latents, got {values[where]} at {where}", field="latents"
        )
    if card.latent.kind == "one_hot":
        _check_one_hot(latents, card, "latents")


def _check_one_hot(tensor: Tensor, card: Card, field: str) -> None:
    values = tensors.to_array(tensor)
    last = card.latent.shape[-1] if field == "latents" else card.input.size
    groups = values.reshape(len(values), -1, last)
    good = ((groups == 1).sum(-1) == 1) & ((groups != 0).sum(-1) == 1)
    if not good.all():
        row = int(good.all(1).argmin())
        raise InvalidRequest(
            f"model {card.name!r} takes one-hot {field}, a single 1 and else 0; row {row} has "
            f"{np.count_nonzero(values[row])} entries that are not 0, with sum {values[row].sum():g}",
            field=field,
        )


def _check_size(tensor: Tensor, field: str) -> None:
    try:
        tensors.check_size(tensor)
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from None


def _first(values: tensors.Array, wrong: Callable[[tensors.Array], tensors.Array]) -> tuple[int, ...] | None:
    """Where the first wrong value is; looked for in blocks, which keep what is allocated small."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        bad = wrong(flat[start : start + BLOCK])
        if bad.any():
            return tuple(int(i) for i in np.unravel_index(start + int(bad.argmax()), values.shape))
    return None


def _check_counts(request: Request) -> None:
    rows, samples = n_rows(request), n_samples(request)
    field = "n_latents" if isinstance(request, SampleRequest) else _input_field(request)
    if not 1 <= rows <= MAX_ROWS:
        raise InvalidRequest(f"a request holds 1 to {MAX_ROWS} rows, got {rows}", field=field)
    if samples > MAX_SAMPLES:
        raise InvalidRequest(f"n_samples is at most {MAX_SAMPLES}, got {samples}", field="n_samples")
    if rows * samples > MAX_ROW_SAMPLES:
        raise InvalidRequest(
            f"a request asks for at most {MAX_ROW_SAMPLES} samples, "
            f"got {rows} rows of {samples} = {rows * samples}",
            field="n_samples",
        )


def _check_noise(request: Request) -> None:
    try:
        check_keys(request.noise, n_rows(request))
    except ValueError as error:
        raise InvalidRequest(str(error), field="noise") from None


def _check_answer(request: Request, card: Card) -> None:
    """The answer must fit a message; that of Sample is streamed, so each of its rows must."""
    rows = 1 if isinstance(request, SampleRequest) else n_rows(request)
    size = rows * output_row_bytes(request, card)
    if size > MAX_MESSAGE_BYTES:
        raise InvalidRequest(
            f"the answer to {rows} rows of {n_samples(request)} samples takes {size} bytes, "
            f"a message at most {MAX_MESSAGE_BYTES}; ask for fewer at a time",
            field="n_samples",
        )


def _input_field(request: Request) -> str:
    return "latents" if isinstance(request, DecodeRequest) else "images"


def _dtype(tensor: Tensor) -> str:
    return DType.Name(tensor.dtype) if tensor.dtype in DType.values() else f"dtype {tensor.dtype}"
