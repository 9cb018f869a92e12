import tracemalloc

import numpy as np
import pytest
from rdserve.models.card import Card
from rdserve.server.errors import InvalidRequest
from rdserve.server.grpc_api.validation import check
from rdserve.v1.vae_pb2 import (
    DTYPE_FLOAT32,
    DTYPE_PACKED_BITS,
    DTYPE_UINT8,
    DecodeRequest,
    EncodeRequest,
    NoiseKeys,
    ReconstructRequest,
    SampleRequest,
    ScoreRequest,
    Tensor,
)
from rdserve.wire import tensors
from rdserve.wire.batches import Request

GREY = np.zeros((3, 8, 8), np.uint8)
GREY[2, 5, 1] = 128
HALF = np.full((1, 8, 8), 0.5, np.float32)
NAN = np.zeros((2, 4), np.float32)
NAN[1, 3] = np.nan


def images(n: int = 2, height: int = 8, width: int = 8) -> Tensor:
    return tensors.to_message(np.zeros((n, height, width), bool))


def latents(n: int = 2, size: int = 4) -> Tensor:
    return tensors.to_message(np.zeros((n, size), np.float32))


GOOD: list[Request] = [
    EncodeRequest(images=images(), n_samples=5),
    ScoreRequest(images=tensors.to_message(np.ones((1, 8, 8), np.uint8))),
    ScoreRequest(images=tensors.to_message(np.ones((1, 8, 8), np.float64))),
    ReconstructRequest(images=images(), noise=NoiseKeys(seed=1, example_ids=[4, 5])),
    DecodeRequest(latents=latents()),
    SampleRequest(n_latents=100_000),
]
BAD: list[tuple[Request, str, tuple[str, ...]]] = [
    (ScoreRequest(), "images", ("(N, 8, 8)", "()")),
    (ScoreRequest(images=images(2, 28, 28)), "images", ("(N, 8, 8)", "(2, 28, 28)")),
    (EncodeRequest(images=latents()), "images", ("(N, 8, 8)", "(2, 4)")),
    (ScoreRequest(images=images(0)), "images", ("1 to 100000 rows", "got 0")),
    (ScoreRequest(images=tensors.to_message(GREY)), "images", ("0 or 1", "128 at (2, 5, 1)")),
    (ScoreRequest(images=tensors.to_message(HALF)), "images", ("0 or 1", "0.5 at (0, 0, 0)")),
    (
        ScoreRequest(images=Tensor(dtype=DTYPE_UINT8, shape=[2, 8, 8], data=b"\0" * 100)),
        "images",
        ("needs 128 bytes", "got 100"),
    ),
    (
        ScoreRequest(images=Tensor(dtype=DTYPE_PACKED_BITS, shape=[2**40, 8, 8], data=b"")),
        "images",
        ("1 to 100000 rows", f"got {2**40}"),
    ),
    (ScoreRequest(images=Tensor(dtype=77, shape=[2, 8, 8])), "images", ("unknown tensor dtype 77", "UINT8")),  # type: ignore[arg-type]
    (ScoreRequest(images=Tensor(dtype=DTYPE_UINT8, shape=[-1, 8, 8])), "images", ("1 to 100000", "got -1")),
    (ScoreRequest(images=Tensor(dtype=DTYPE_UINT8, shape=[1] * 3000)), "images", ("(N, 8, 8)", "3000 axes")),
    (DecodeRequest(latents=latents(2, 5)), "latents", ("(N, 4)", "(2, 5)")),
    (DecodeRequest(latents=tensors.to_message(NAN)), "latents", ("finite", "nan at (1, 3)")),
    (
        DecodeRequest(latents=tensors.to_message(np.zeros((2, 4), np.uint8))),
        "latents",
        ("DTYPE_FLOAT32", "DTYPE_UINT8"),
    ),
    (
        DecodeRequest(latents=Tensor(dtype=DTYPE_FLOAT32, shape=[2, 4], data=b"\0" * 31)),
        "latents",
        ("needs 32 bytes", "got 31"),
    ),
    (ScoreRequest(images=images(), n_samples=5001), "n_samples", ("at most 5000", "got 5001")),
    (ScoreRequest(images=images(1000), n_samples=1001), "n_samples", ("at most 1000000", "1001000")),
    (SampleRequest(n_latents=0), "n_latents", ("1 to 100000", "got 0")),
    (SampleRequest(n_latents=100_001), "n_latents", ("1 to 100000", "got 100001")),
    (
        ScoreRequest(images=images(2), noise=NoiseKeys(example_ids=[1])),
        "noise",
        ("1 entries", "2 rows"),
    ),
    (SampleRequest(n_latents=2, noise=NoiseKeys(row_seeds=[1, 2, 3])), "noise", ("3 entries", "2 rows")),
]


@pytest.mark.parametrize("request_", GOOD, ids=lambda r: type(r).__name__)
def test_what_fits_passes(card: Card, request_: Request) -> None:
    check(request_, card)


@pytest.mark.parametrize(("request_", "field", "facts"), BAD, ids=lambda value: None)
def test_what_does_not_fit_is_refused_with_both_facts(
    card: Card, request_: Request, field: str, facts: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(request_, card)
    assert caught.value.field == field
    for fact in facts:
        assert fact in caught.value.message


def test_refusing_allocates_less_than_the_request_holds(card: Card) -> None:
    """A packed row is a bit per pixel, and grey pixels may come last: neither may cost its size again."""
    many = Tensor(dtype=DTYPE_PACKED_BITS, shape=[2**20, 8, 8], data=bytes(2**23))
    grey = np.zeros((2**16, 8, 8), np.uint8)
    grey[-1, -1, -1] = 7
    for tensor in (many, tensors.to_message(grey)):
        request = ScoreRequest(images=tensor)
        tracemalloc.start()
        with pytest.raises(InvalidRequest):
            check(request, card)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.5 * len(tensor.data)


def test_an_answer_larger_than_a_message_is_refused(card: Card) -> None:
    large = card.model_copy(update={"input": card.input.model_copy(update={"shape": (28, 28)})})
    request = ReconstructRequest(images=images(100, 28, 28), n_samples=1000)
    with pytest.raises(InvalidRequest, match=f"takes {100 * (4 * 4 + 784 * 1000)} bytes.*at most 67108864"):
        check(request, large)
