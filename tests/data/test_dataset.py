import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.data import DataError, canonical_sha256, load
from rdserve.data.dataset import pack, unpack


@given(n=st.integers(0, 4), height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_unpack_undoes_pack(n: int, height: int, width: int, seed: int) -> None:
    images = np.random.default_rng(seed).random((n, height, width)) < 0.5
    np.testing.assert_array_equal(unpack(pack(images), height, width), images)


def test_the_canonical_hash_is_the_documented_text() -> None:
    one = np.array([[[True, False, False], [False, False, True]]])
    images = {"train": one, "valid": ~one, "test": one}
    expected = b"train 1 2 3\n\x84valid 1 2 3\n\x78test 1 2 3\n\x84"
    assert canonical_sha256(images) == hashlib.sha256(expected).hexdigest()


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(
        DataError,
        match=r"no data set 'mnist'; there are digits, static-mnist, .*omniglot.*or the path of .npz",
    ):
        load("mnist", split="test")
    with pytest.raises(DataError, match="'digits' has no split 'dev'; there are train, valid, test"):
        load("digits", split="dev")
