"""How many rows of a request one call to a worker carries."""

from rdserve.models.card import Card
from rdserve.models.input_values import dtype_of
from rdserve.v1.vae_pb2 import DecodeRequest, EncodeRequest, ReconstructRequest, SampleRequest
from rdserve.wire.batches import Request, input_row_bytes, n_samples
from rdserve.wire.limits import MIB

# Bytes that one call to a worker carries, either way.
MAX_CHUNK_BYTES = 8 * MIB


def chunk_rows(request: Request, card: Card, max_samples: int) -> int:
    """Rows of such a request that one call to a worker may hold: at least 1."""
    by_samples = max_samples // n_samples(request)
    by_bytes = MAX_CHUNK_BYTES // max(input_row_bytes(request), output_row_bytes(request, card), 1)
    return max(1, min(by_samples, by_bytes))


def output_row_bytes(request: Request, card: Card) -> int:
    """Bytes that one row takes on the way out."""
    latent = 4 * card.latent.size
    images = n_samples(request) * card.input.size * dtype_of(card.input).itemsize
    if isinstance(request, EncodeRequest):
        return latent * (2 + n_samples(request))
    if isinstance(request, DecodeRequest):
        return images
    if isinstance(request, ReconstructRequest | SampleRequest):
        return latent + images
    return 4 * 8
