import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.v1.vae_pb2 import EncodeRequest, EncodeResponse, NoiseKeys, SampleRequest, ScoreRequest
from rdserve.wire import batches, tensors
from rdserve.wire.batches import cut, join


def encode(request: batches.Request) -> EncodeResponse:
    """A stand-in op whose every row depends on its own image and noise key alone."""
    assert isinstance(request, EncodeRequest)
    images = tensors.to_array(request.images).reshape(batches.n_rows(request), -1)
    seeds, ids = batches.row_keys(request.noise, len(images))
    mode = np.column_stack([images.sum(1), seeds % 97, ids % 97]).astype(np.float32)
    return EncodeResponse(posterior_mode=tensors.to_message(mode))


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    packed=st.booleans(),
    given_ids=st.booleans(),
    given_seeds=st.booleans(),
)
def test_op_of_parts_joined_is_op_of_whole(
    n: int, size: int, packed: bool, given_ids: bool, given_seeds: bool
) -> None:
    rng = np.random.default_rng(n)
    images = rng.random((n, 3, 3)) < 0.5
    noise = NoiseKeys(
        seed=5,
        example_ids=rng.integers(0, 2**63, n) if given_ids else [],
        row_seeds=rng.integers(0, 2**63, n) if given_seeds else [],
    )
    request = EncodeRequest(
        model="m", images=tensors.to_message(images if packed else images.astype(np.uint8)), noise=noise
    )
    parts = list(cut(request, size))
    assert max(map(batches.n_rows, parts)) <= size
    assert join([encode(part) for part in parts]) == encode(request)


def test_a_small_request_is_not_copied() -> None:
    request = ScoreRequest(images=tensors.to_message(np.zeros((3, 2, 2), bool)))
    assert next(cut(request, 3)) is request


@pytest.mark.parametrize("size", [1, 4, 10, 11])
def test_samples_keep_their_ids(size: int) -> None:
    parts = list(cut(SampleRequest(model="m", n_latents=10), size))
    assert sum(batches.n_rows(part) for part in parts) == 10
    ids = np.concatenate([batches.row_keys(part.noise, batches.n_rows(part))[1] for part in parts])
    assert ids.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("samples", "sizes"), [(1, [16, 32, 64, 88]), (5, [3, 6, 12, 24, 48, 96, 11]), (99, [1, 2, 4])]
)
def test_the_first_samples_come_soon(samples: int, sizes: list[int]) -> None:
    request = SampleRequest(model="m", n_latents=sum(sizes), n_samples=samples)
    assert [batches.n_rows(part) for part in cut(request, 100)] == sizes
