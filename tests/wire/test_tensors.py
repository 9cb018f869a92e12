"""The codec round-trips what it accepts and allocates nothing for what it refuses."""

import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rdserve.v1.vae_pb2 import DTYPE_FLOAT32, DTYPE_PACKED_BITS, DTYPE_UINT8, Tensor
from rdserve.wire import tensors

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
arrays = st.sampled_from(["<f4", "<f8", "u1", "?"]).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


@given(arrays)
def test_round_trip(array: np.ndarray) -> None:
    back = tensors.to_array(Tensor.FromString(tensors.to_message(array).SerializeToString()))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(hnp.arrays(">f4", shapes))
def test_byte_order_on_the_wire_is_little_endian(array: np.ndarray) -> None:
    assert tensors.to_message(array).data == array.astype("<f4").tobytes()


def test_packed_rows_start_new_bytes_most_significant_bit_first() -> None:
    message = tensors.to_message(np.array([[1, 0, 0], [0, 1, 1]], bool))
    assert message.data == bytes([0b1000_0000, 0b0110_0000])


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        (Tensor(dtype=DTYPE_FLOAT32, shape=[2, 6], data=b"1234"), ["(2, 6)", "48 bytes", "got 4"]),
        (Tensor(dtype=DTYPE_PACKED_BITS, shape=[2, 9], data=b"123"), ["(2, 9)", "4 bytes", "got 3"]),
        (Tensor(dtype=DTYPE_UINT8, shape=[2**62, 2**62], data=b""), [str(2**124), "got 0"]),
        (Tensor(dtype=DTYPE_UINT8, shape=[-1], data=b""), ["negative"]),
        (Tensor(shape=[1], data=b"1"), ["dtype 0", "DTYPE_UINT8"]),
        (Tensor(dtype=DTYPE_UINT8, shape=[1] * 9, data=b"1"), ["8 axes", "got 9"]),
    ],
)
def test_facts_that_disagree_are_quoted(message: Tensor, facts: list[str]) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, facts))):
        tensors.to_array(message)


def test_a_dtype_without_a_wire_form() -> None:
    with pytest.raises(ValueError, match="complex64"):
        tensors.to_message(np.zeros(1, np.complex64))


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    """Whatever parses as a Tensor either unwraps or raises ValueError."""
    try:
        message = Tensor.FromString(data)
    except Exception:
        return
    with suppress(ValueError):
        tensors.to_array(message)
