"""What every reader finds in a file."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from rdserve.data.errors import DataError
from rdserve.data.kinds import Array

# A single array is what models are compared on.
ONE_SPLIT = "test"
_VALID = {"val": "valid", "validation": "valid"}


class Contents(NamedTuple):
    """Arrays by split, as stored. columns: of a table, where they have names."""

    x: Mapping[str, Array]
    labels: Mapping[str, Array]
    columns: tuple[str, ...] = ()


def split_named(name: str) -> str | None:
    """The split that a key or a folder is named for: train, valid (or val, validation) or test."""
    name = _VALID.get(name.lower(), name.lower())
    return name if name in ("train", "valid", "test") else None


def checked_labels(labels: Array, n: int, where: str) -> Array:
    """Labels (n,) as whole numbers.

    Raises:
        DataError: others, or another number of them.
    """
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        raise DataError(f"{where}: labels are whole numbers (N,), got {labels.dtype} {labels.shape}")
    if len(labels) != n:
        raise DataError(f"{where}: one label for each example, got {len(labels)} for {n}")
    return labels.astype(np.uint8) if labels.dtype == np.bool_ else labels
