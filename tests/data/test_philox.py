"""The words of models' noise, without torch; and data's own purposes, which no model has."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdserve.data.philox import DataPurpose, uniform, words
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose

patterns = st.integers(0, 2**64 - 1)


@given(keys=st.lists(st.tuples(patterns, patterns), min_size=1, max_size=4), size=st.integers(1, 9))
def test_uniforms_are_those_of_models_byte_for_byte(keys: list[tuple[int, int]], size: int) -> None:
    seeds, ids = (np.array(column, np.uint64) for column in zip(*keys, strict=True))
    noise = Noise(
        NoiseKeys(*(torch.from_numpy(each.view(np.int64)) for each in (seeds, ids))), Purpose.PIXELS
    )
    found = uniform(seeds, ids, purpose=Purpose.PIXELS, n_samples=3, size=size)
    assert found.tobytes() == noise.uniform(3, size).numpy().tobytes()


def test_the_published_words() -> None:
    """Random123's kat_vectors: counter and key all zeros."""
    found = words(0, [0], purpose=0, n_samples=1, size=4)
    assert [f"{word:08x}" for word in found.ravel()] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_data_share_no_purpose_with_models() -> None:
    assert set(map(int, DataPurpose)).isdisjoint(map(int, Purpose))
    assert max(Purpose) < 128 <= min(DataPurpose)
    assert max(DataPurpose) < 256


def test_no_more_samples_than_the_counter_holds() -> None:
    with pytest.raises(ValueError, match="1 to 16777216, got 0"):
        words(0, [0], purpose=0, n_samples=0, size=1)
