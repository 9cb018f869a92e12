"""What counts as examples x, and as latents."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.errors import InputError

# Of whole numbers, the narrowest that holds them all; beyond these they are sent as real numbers.
_WHOLE = (np.uint8, np.uint16, np.int32)


def as_examples(x: ArrayLike) -> NDArray[Any]:
    """(N, ...): booleans where all are 0 or 1, else uint8, uint16, int32 or float32, as values need.

    Whether a model takes such x, the service says, quoting what the model takes.

    Raises:
        InputError: no rows of numbers, or a number that is not finite.
    """
    array = _as_array(x, "images")
    if array.ndim < 2:
        raise InputError(f"x are rows (N, ...), images (N, H, W), got shape {array.shape}")
    if array.size == 0:
        raise InputError(f"no pixels in images of shape {array.shape}")
    if array.dtype == np.bool_:
        return array
    binary: NDArray[np.bool_] = array == 1
    if np.all(binary | (array == 0)):
        return binary
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"x must be finite: row {where[0]} has {array[where]} at {where[1:]}")
        if not np.all(array == np.floor(array)):
            return array.astype(np.float32, copy=False)
    low, high = int(array.min()), int(array.max())
    for dtype in _WHOLE:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype, copy=False)
    return array.astype(np.float32)  # too large to be levels or counts


def _as_array(given: ArrayLike, name: str) -> NDArray[Any]:
    """Of booleans or real numbers, with whatever axes."""
    try:
        array = np.asarray(given)
    except ValueError as error:  # nested lists of several lengths
        raise InputError(f"{name} are not an array of numbers: {error}") from None
    if array.dtype.kind not in "buif":
        what = f"dtype {array.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"{name} are not an array of numbers, got {what}")
    return array


def as_latents(latents: ArrayLike) -> NDArray[np.float32] | NDArray[np.float64]:
    """(N, Z), or (N, ...) of the model's shape, float32 or float64, finite; other numbers become float64.

    Raises:
        InputError: another number of axes, no rows, or a value that is not finite.
    """
    array = _as_array(latents, "latents")
    if array.ndim < 2 or array.size == 0:
        raise InputError(f"latents are rows (N, Z), at least one, got shape {array.shape}")
    numbers = array if array.dtype == np.float32 else array.astype(np.float64)
    if not np.isfinite(numbers).all():
        row, *place = np.argwhere(~np.isfinite(numbers))[0]
        raise InputError(
            f"latents must be finite: row {row} has {numbers[row, *place]} at {tuple(map(int, place))}"
        )
    return numbers
