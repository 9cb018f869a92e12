"""What x may be: four kinds, each with the dtype that stands for it."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rdserve.data.errors import DataError

Array = NDArray[Any]
Kind = Literal["binary", "levels", "counts", "real"]

# Axes of an array of examples, the first among them; a tensor on the wire has no more.
MAX_AXES = 8
KINDS: dict[np.dtype[Any], Kind] = {
    np.dtype(np.bool_): "binary",
    np.dtype(np.uint8): "levels",
    np.dtype(np.uint16): "levels",
    np.dtype(np.int32): "counts",
    np.dtype(np.float32): "real",
}
_WORDS = {"binary": "0s and 1s", "levels": "levels", "counts": "counts", "real": "real numbers"}


def kind_of(x: Array) -> Kind:
    """Of x in the dtype of its kind, as `canonical` gives it."""
    return KINDS[x.dtype]


def levels_of(x: Array) -> int | None:
    """How many levels the dtype has room for: 256 or 65536; None for other kinds."""
    return 2 ** (8 * x.dtype.itemsize) if kind_of(x) == "levels" else None


def described(x: Array, levels: int | None = None) -> str:
    """ "256 levels of shape (3, 32, 32)": of x (N, ...), as errors say it."""
    number = f"{levels or levels_of(x)} " if kind_of(x) == "levels" else ""
    return f"{number}{_WORDS[kind_of(x)]} of shape {x.shape[1:]}"


def canonical(splits: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Splits (N, ...) in the dtype of their kind, without a copy where they have it.

    0 and 1 alone, of whatever dtype, are binary (bool). Of the rest, uint8 and uint16 are levels; whole
    numbers of other dtypes are counts (int32), or reals where there are negative ones; floats are real
    (float32).

    Raises:
        DataError: no numbers, no examples, shapes or dtypes that differ between splits, values that are not
            finite, or too large for the kind's dtype; `where` begins the message.
    """
    for split, x in splits.items():
        _check_form(x, f"{where}, {split}")
    _check_same(splits, where)
    if all(map(_is_binary, splits.values())):
        return {split: _as_bool(x) for split, x in splits.items()}
    some = next(iter(splits.values()))
    if some.dtype.kind == "f":
        return {split: _as_real(x, f"{where}, {split}") for split, x in splits.items()}
    if some.dtype.newbyteorder("=") in KINDS and some.dtype.kind == "u":
        return {split: x.astype(x.dtype.newbyteorder("="), copy=False) for split, x in splits.items()}
    if min(int(x.min()) for x in splits.values()) < 0:
        return {split: x.astype(np.float32) for split, x in splits.items()}
    return {split: _as_counts(x, f"{where}, {split}") for split, x in splits.items()}


def _check_form(x: Array, where: str) -> None:
    if x.dtype.kind not in "buif":
        raise DataError(f"{where}: numbers are wanted, this is an array of dtype {x.dtype}")
    if not 2 <= x.ndim <= MAX_AXES:
        hint = "; of single numbers, reshape it to (N, 1)" if x.ndim == 1 else ""
        raise DataError(
            f"{where}: examples have 1 to {MAX_AXES - 1} axes, so an array of them 2 to {MAX_AXES}; "
            f"this one has shape {x.shape}{hint}"
        )
    if x.size == 0:
        raise DataError(f"{where}: no values in an array of shape {x.shape}")


def _check_same(splits: Mapping[str, Array], where: str) -> None:
    facts: dict[str, dict[str, object]] = {
        "shapes": {split: x.shape[1:] for split, x in splits.items()},
        "dtypes": {split: x.dtype.newbyteorder("=") for split, x in splits.items()},
    }
    for what, found in facts.items():
        if len(set(found.values())) > 1:
            said = ", ".join(f"{split} {value}" for split, value in found.items())
            raise DataError(
                f"{where}: the splits of a data set are alike, but these differ in {what}: {said}"
            )


def _is_binary(x: Array) -> bool:
    if x.dtype == np.bool_:
        return True
    if not (x.min() >= 0 and x.max() <= 1):
        return False
    return x.dtype.kind != "f" or bool(((x == 0) | (x == 1)).all())


def _as_bool(x: Array) -> Array:
    return x.view(np.bool_) if x.dtype.itemsize == 1 else x == 1


def _as_real(x: Array, where: str) -> Array:
    finite = np.isfinite(x)
    if not finite.all():
        place = tuple(map(int, np.argwhere(~finite)[0]))
        wrong = int(x.size - finite.sum())
        raise DataError(
            f"{where}: {wrong} of {x.size} values are not finite, the first {x[place]} at {place}; "
            "leave those examples out, or put numbers there"
        )
    largest = max(abs(float(x.max())), abs(float(x.min())))
    if largest > float(np.finfo(np.float32).max):
        raise DataError(f"{where}: models take float32, which ends at 3.4e38, but a value is {largest:.3g}")
    return x.astype(np.float32, copy=False)


def _as_counts(x: Array, where: str) -> Array:
    largest = int(x.max())
    if largest > np.iinfo(np.int32).max:
        raise DataError(f"{where}: counts are int32, which ends at 2147483647, but one is {largest}")
    return x.astype(np.int32, copy=False)
