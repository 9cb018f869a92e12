"""Tensor message <-> numpy array: the only codec, used by both ends of the wire."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdserve.v1.vae_pb2 import (
    DTYPE_FLOAT32,
    DTYPE_FLOAT64,
    DTYPE_INT32,
    DTYPE_PACKED_BITS,
    DTYPE_UINT8,
    DTYPE_UINT16,
    DType,
    Tensor,
)

MAX_RANK = 8

_NUMPY: dict[DType.ValueType, np.dtype[np.generic]] = {
    DTYPE_FLOAT32: np.dtype("<f4"),
    DTYPE_FLOAT64: np.dtype("<f8"),
    DTYPE_UINT8: np.dtype("u1"),
    DTYPE_INT32: np.dtype("<i4"),
    DTYPE_UINT16: np.dtype("<u2"),
}
_ITEM_BYTES = {code: dtype.itemsize for code, dtype in _NUMPY.items()}
_WIRE = {dtype: code for code, dtype in _NUMPY.items()}

Array = NDArray[np.generic]


def to_message(array: Array) -> Tensor:
    """Wrap an array. Booleans are packed 8 to a byte, row by row.

    Raises:
        ValueError: the dtype has no wire form.
    """
    message = Tensor()
    fill(message, array)
    return message


def fill(message: Tensor, array: Array) -> None:
    """As `to_message`, into an empty message, such as the field of another: one copy less."""
    message.dtype = dtype_of(array)
    message.shape.extend(array.shape)
    message.data = _packed(array) if array.dtype == np.bool_ else _little_endian(array).tobytes()


def dtype_of(array: Array) -> DType.ValueType:
    """What an array is on the wire. Raises ValueError where it has no wire form."""
    if array.dtype == np.bool_:
        return DTYPE_PACKED_BITS
    found = _WIRE.get(array.dtype.newbyteorder("<"))
    if found is None:
        raise ValueError(
            f"cannot send dtype {array.dtype}; send bool, uint8, uint16, int32, float32 or float64"
        )
    return found


def _packed(array: Array) -> bytes:
    shape = array.shape
    rows = array.astype(np.bool_, copy=False).reshape(_rows(shape), row_size(shape))
    return np.packbits(rows, axis=1).tobytes()


def _little_endian(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def to_array(message: Tensor) -> Array:
    """Unwrap a message as a read-only array (bool where bits were packed).

    Raises:
        ValueError: dtype, shape and byte count disagree. Nothing is allocated before that is known.
    """
    dtype, shape, data = _checked(message)
    if dtype == DTYPE_PACKED_BITS:
        bits = row_size(shape)
        packed = np.frombuffer(data, np.uint8).reshape(_rows(shape), (bits + 7) // 8)
        return np.unpackbits(packed, axis=1, count=bits).view(np.bool_).reshape(shape)
    return np.frombuffer(data, _NUMPY[dtype]).reshape(shape)


def check_size(message: Tensor) -> None:
    """Raises ValueError where dtype, shape and byte count disagree."""
    checked_data(message)


def checked_data(message: Tensor) -> bytes:
    """Its bytes, taken out once: each look at `data` copies them. Raises as `check_size`."""
    return _checked(message)[2]


def _checked(message: Tensor) -> tuple[DType.ValueType, tuple[int, ...], bytes]:
    """Its fields, taken out once."""
    dtype, shape, data = message.dtype, tuple(message.shape), message.data
    needed = byte_count(dtype, shape)
    if len(data) != needed:
        raise ValueError(f"{DType.Name(dtype)} of shape {shape} needs {needed} bytes, got {len(data)}")
    return dtype, shape, data


def byte_count(dtype: DType.ValueType, shape: Sequence[int]) -> int:
    """Bytes that a tensor of this dtype and shape takes.

    Raises:
        ValueError: unknown dtype, too many axes, or a negative size.
    """
    sizes = tuple(shape)
    if len(sizes) > MAX_RANK:
        raise ValueError(f"a tensor has at most {MAX_RANK} axes, got {len(sizes)}")
    if sizes and min(sizes) < 0:
        raise ValueError(f"shape {sizes} has a negative size")
    if dtype == DTYPE_PACKED_BITS:
        return _rows(sizes) * ((row_size(sizes) + 7) // 8)
    if (item := _ITEM_BYTES.get(dtype)) is None:
        known = ", ".join(DType.Name(code) for code in (*_NUMPY, DTYPE_PACKED_BITS))
        raise ValueError(f"unknown tensor dtype {dtype}; known: {known}")
    return math.prod(sizes) * item


def row_size(shape: Sequence[int]) -> int:
    """Entries in one row: all axes but the first."""
    return math.prod(shape[1:])


def _rows(shape: Sequence[int]) -> int:
    return shape[0] if shape else 1
