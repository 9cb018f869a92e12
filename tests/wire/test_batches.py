"""Merging is closed and split undoes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.v1.vae_pb2 import EncodeRequest, EncodeResponse, NoiseKeys, SampleRequest, ScoreResponse
from rdserve.wire import batches, tensors


def encode(n: int, seed: int, ids: list[int] | None = None) -> EncodeRequest:
    images = np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3) + seed
    return EncodeRequest(
        model="m", images=tensors.to_message(images), noise=NoiseKeys(seed=seed, example_ids=ids)
    )


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2**64 - 1)), min_size=1, max_size=5))
def test_merged_rows_keep_their_order_and_their_keys(calls: list[tuple[int, int]]) -> None:
    requests = [encode(n, seed) for n, seed in calls]
    merged = batches.merge(requests)
    assert batches.n_rows(merged) == sum(n for n, _ in calls)
    seeds, ids = batches.row_keys(merged.noise, batches.n_rows(merged))
    assert seeds.tolist() == [seed for n, seed in calls for _ in range(n)]
    assert ids.tolist() == [i for n, _ in calls for i in range(n)]
    np.testing.assert_array_equal(
        tensors.to_array(merged.images), np.concatenate([tensors.to_array(r.images) for r in requests])
    )


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_split_gives_each_caller_its_rows(sizes: list[int]) -> None:
    n = sum(sizes)
    latents = np.random.default_rng(0).standard_normal((n, 2, 3)).astype(np.float32)
    parts = batches.split(EncodeResponse(latents=tensors.to_message(latents)), sizes)
    assert [len(tensors.to_array(part.latents)) for part in parts] == sizes
    np.testing.assert_array_equal(np.concatenate([tensors.to_array(p.latents) for p in parts]), latents)


def test_split_of_scores() -> None:
    whole = ScoreResponse(rate_nats=[1, 2, 3], distortion_nats=[4, 5, 6], rate_is_exact=True)
    first, second = batches.split(whole, [1, 2])
    assert (list(first.rate_nats), list(second.distortion_nats)) == ([1], [5, 6])
    assert first.rate_is_exact
    assert second.rate_is_exact


def test_samples_merge_by_count() -> None:
    a = SampleRequest(model="m", n_latents=2, noise=NoiseKeys(seed=1))
    b = SampleRequest(model="m", n_latents=3, noise=NoiseKeys(seed=2, example_ids=[9, 8, 7]))
    merged = batches.merge([a, b])
    assert merged.n_latents == 5
    assert list(merged.noise.row_seeds) == [1, 1, 2, 2, 2]
    assert list(merged.noise.example_ids) == [0, 1, 9, 8, 7]


def test_only_requests_of_one_kind_share_a_key() -> None:
    a = encode(1, 0)
    other_model = EncodeRequest()
    other_model.CopyFrom(a)
    other_model.model = "n"
    more_samples = EncodeRequest()
    more_samples.CopyFrom(a)
    more_samples.n_samples = 2
    keys = {
        batches.merge_key(r) for r in (a, encode(3, 7), other_model, more_samples, SampleRequest(model="m"))
    }
    assert len(keys) == 4


def test_sizes_that_lie_are_refused_even_where_they_cancel() -> None:
    """One request a byte short beside one a byte long must not shift rows between callers."""
    short, long = encode(1, 0), encode(1, 0)
    short.images.data = short.images.data[:-1]
    long.images.data += b"\0"
    with pytest.raises(ValueError, match="24 bytes, got 23"):
        batches.merge([short, long])
    with pytest.raises(ValueError, match="example_ids has 2 entries for 1 rows"):
        batches.merge([encode(1, 0), encode(1, 0, ids=[1, 2])])


@given(st.integers(0, 5000), st.integers(1, 700))
def test_slices_cover_every_row_once_in_order(n: int, size: int) -> None:
    parts = list(batches.slices(n, size))
    assert [row for part in parts for row in range(n)[part]] == list(range(n))
    assert all(1 <= part.stop - part.start <= size for part in parts)
