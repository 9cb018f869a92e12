"""What x may hold, by its kind: checked where it comes in, written as what it goes out. numpy only."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.models.card_parts import InputKind, InputSpec

Array = NDArray[Any]
# values -> where they are none that x may hold
Wrong = Callable[[Array], Array]


def dtype_of(x: InputSpec) -> np.dtype[np.generic]:
    """What images, and other x, are sent as by the service."""
    if x.kind == "levels":
        return np.dtype(np.uint8 if (x.levels or 0) <= 2**8 else np.uint16)
    kinds: dict[InputKind, type[np.generic]] = {"counts": np.int32, "real": np.float32}
    return np.dtype(kinds.get(x.kind, np.uint8))


def wrong(x: InputSpec) -> Wrong:
    """Where values are none that x holds."""
    levels = x.levels or 0
    found: dict[InputKind, Wrong] = {
        "binary": lambda v: (v != 0) & (v != 1),
        "one_hot": lambda v: (v != 0) & (v != 1),
        "levels": lambda v: ~((v >= 0) & (v < levels) & (v == np.floor(v))),
        "counts": lambda v: ~((v >= 0) & (v < 2**31) & (v == np.floor(v))),
        "real": lambda v: ~np.isfinite(v),
    }
    return found[x.kind]


def said(x: InputSpec) -> str:
    """What x holds, in words, for who sent something else."""
    words: dict[InputKind, str] = {
        "binary": "binary pixels, 0 or 1",
        "one_hot": "binary pixels, 0 or 1",
        "levels": f"whole levels from 0 to {(x.levels or 1) - 1}",
        "counts": "whole numbers from 0",
        "real": f"finite numbers in units of {x.unit}",
    }
    return words[x.kind]


def random_values(x: InputSpec, n: int) -> Array:
    """(n, *shape), the same at every call: any x of its kind, whatever the data are."""
    rng, shape = np.random.default_rng(0), (n, *x.shape)
    match x.kind:
        case "binary":
            return rng.random(shape) < 0.5
        case "one_hot":
            return np.eye(x.size, dtype=bool)[np.arange(n) % x.size].reshape(shape)
        case "levels":
            return rng.integers(0, x.levels, shape).astype(dtype_of(x))
        case "counts":
            return rng.poisson(1.0, shape).astype(dtype_of(x))
        case "real":
            return rng.standard_normal(shape).astype(dtype_of(x))
