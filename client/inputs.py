"""What counts as binary images, and as latents."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.errors import InputError


def as_binary(images: ArrayLike) -> NDArray[np.bool_]:
    """(N, H, W) booleans from booleans, or from numbers that are all 0 or 1.

    Raises:
        InputError: another number of axes, no rows, or a value that is neither 0 nor 1.
    """
    array = _as_array(images, "images")
    if array.ndim != 3:
        raise InputError(f"images have 3 axes (N, H, W), got shape {array.shape}{_hint(array.shape)}")
    if array.size == 0:
        raise InputError(f"no pixels in images of shape {array.shape}")
    if array.dtype == np.bool_:
        return array
    binary: NDArray[np.bool_] = array == 1
    grey = ~(binary | (array == 0))
    if grey.any():
        row, i, j = np.argwhere(grey)[0]
        raise InputError(
            f"every pixel must be 0 or 1: image {row} has {array[row, i, j]} at ({i}, {j}); "
            f"{int(grey.sum())} of {grey.size} pixels are neither. Binarise first, as the model's card says"
        )
    return binary


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


def _hint(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        n, size = shape
        side = int(size**0.5)
        if n > 1 and side * side == size and side > 1:
            return f"; if the rows are flat images, reshape to ({n}, {side}, {side})"
        return f"; one image is images[None], shape (1, {n}, {size})"
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return "; drop the channel axis"
    return ""


def as_latents(latents: ArrayLike) -> NDArray[np.float32] | NDArray[np.float64]:
    """(N, Z) float32 or float64, finite; other numbers become float64.

    Raises:
        InputError: another number of axes, no rows, or a value that is not finite.
    """
    array = _as_array(latents, "latents")
    if array.ndim != 2 or array.size == 0:
        hint = "; flatten (N, K, Z) samples with .reshape(-1, Z)" if array.ndim == 3 else ""
        raise InputError(f"latents have 2 axes (N, Z) and at least one row, got shape {array.shape}{hint}")
    numbers = array if array.dtype == np.float32 else array.astype(np.float64)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise InputError(f"latents must be finite: row {row} has {numbers[row, column]} at {column}")
    return numbers
