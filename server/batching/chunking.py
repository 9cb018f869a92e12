"""Large requests as a row of small ones, and their responses as one again.

join(op(part) for part in cut(request, n)) == op(request)
"""

from collections.abc import Iterator, Sequence

from rdserve.models.card import Card
from rdserve.v1.vae_pb2 import (
    DecodeRequest,
    EncodeRequest,
    NoiseKeys,
    ReconstructRequest,
    SampleRequest,
    Tensor,
)
from rdserve.wire import tensors
from rdserve.wire.batches import Request, Response, input_of, n_rows, n_samples, row_keys
from rdserve.wire.limits import MIB

# Bytes that one call to a worker carries, either way.
MAX_CHUNK_BYTES = 8 * MIB
# Samples that whoever draws them sees first. At the paper's size 16 at a time cost no more each than 64.
FIRST_SAMPLES = 16


def chunk_rows(request: Request, card: Card, max_samples: int) -> int:
    """Rows of such a request that one call to a worker may hold: at least 1."""
    by_samples = max_samples // n_samples(request)
    by_bytes = MAX_CHUNK_BYTES // max(input_row_bytes(request), output_row_bytes(request, card), 1)
    return max(1, min(by_samples, by_bytes))


def input_row_bytes(request: Request) -> int:
    """Bytes that one row takes on the way in."""
    tensor = input_of(request)
    return 0 if tensor is None else tensors.byte_count(tensor.dtype, [1, *tensor.shape[1:]])


def output_row_bytes(request: Request, card: Card) -> int:
    """Bytes that one row takes on the way out."""
    latent = 4 * card.architecture.latent_dim
    images = n_samples(request) * card.input.shape[0] * card.input.shape[1]
    if isinstance(request, EncodeRequest):
        return latent * (2 + n_samples(request))
    if isinstance(request, DecodeRequest):
        return images
    if isinstance(request, ReconstructRequest | SampleRequest):
        return latent + images
    return 4 * 8


def cut(request: Request, rows: int) -> Iterator[Request]:
    """The request in parts of at most `rows` rows; each row keeps its noise key.

    Samples are streamed, so their first part is small and each next one twice as large.
    """
    total = n_rows(request)
    start, step = 0, first_rows(request, rows)
    if total <= step:
        yield request
        return
    while start < total:
        yield _part(request, start, min(start + step, total))
        start, step = start + step, min(2 * step, rows)


def first_rows(request: Request, rows: int) -> int:
    """Rows of the first part."""
    if isinstance(request, SampleRequest):
        return max(1, min(rows, FIRST_SAMPLES // n_samples(request)))
    return rows


def _part(request: Request, start: int, stop: int) -> Request:
    _, ids = row_keys(request.noise, n_rows(request))
    noise = NoiseKeys(
        seed=request.noise.seed,
        example_ids=ids[start:stop],
        row_seeds=request.noise.row_seeds[start:stop],
    )
    part = type(request)(model=request.model, noise=noise, n_samples=request.n_samples)
    if isinstance(part, SampleRequest):
        part.n_latents = stop - start
        return part
    whole, piece = input_of(request), input_of(part)
    assert whole is not None
    assert piece is not None
    row = input_row_bytes(request)
    piece.dtype = whole.dtype
    piece.shape.extend([stop - start, *whole.shape[1:]])
    piece.data = memoryview(whole.data)[start * row : stop * row].tobytes()
    return part


def join(parts: Sequence[Response]) -> Response:
    """One response holding the rows of all, in order."""
    if len(parts) == 1:
        return parts[0]
    whole = type(parts[0])()
    for field, value in parts[0].ListFields():
        values = [getattr(part, field.name) for part in parts]
        if isinstance(value, Tensor):
            getattr(whole, field.name).CopyFrom(_stacked(values))
        elif isinstance(value, bool):
            setattr(whole, field.name, all(values))
        else:
            for entries in values:
                getattr(whole, field.name).extend(entries)
    return whole


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return Tensor(
        dtype=parts[0].dtype,
        shape=[sum(part.shape[0] for part in parts), *parts[0].shape[1:]],
        data=b"".join(part.data for part in parts),
    )
