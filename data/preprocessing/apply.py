"""Steps in order, on data; and what names them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from rdserve.data.errors import DataError
from rdserve.data.kinds import Array
from rdserve.data.preprocessing.steps import Prepared, Standardize, Step


def apply(
    steps: Sequence[Step], x: Array, ids: ArrayLike | None = None, *, columns: Sequence[str] = ()
) -> Array:
    """x (N, ...) after all steps, in the dtype of its kind.

    x: in the dtype of its kind (`rdserve.data.kinds.canonical`). ids: (N,) example ids, which name the draws
    of random steps; rows otherwise. columns: their names, where x is a table that has some.

    Raises:
        DataError: a step that cannot be done to these data; the message quotes both.
    """
    return run(steps, Prepared(x, _ids(x, ids), tuple(columns))).x


def run(steps: Sequence[Step], given: Prepared) -> Prepared:
    """As `apply`, with all that is known of x."""
    for step in steps:
        given = step(given)
    return given


def resolved(steps: Sequence[Step], train: Prepared | None) -> tuple[Step, ...]:
    """The steps with the training split's numbers wherever they ask for those.

    Raises:
        DataError: there is no training split, or something in it does not vary.
    """
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Standardize) and step.mean is None:
            if train is None:
                raise DataError("standardize is by the training split's mean and std, and there is none here")
            step = Standardize.of(run(found, train))
        found.append(step)
    return tuple(found)


def to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """As a card holds them: [{"op": "scale", "by": 0.00392156862745098}]."""
    return [
        {"op": step.op} | {name: value for name, value in asdict(step).items() if value is not None}
        for step in steps
    ]


def sha256(steps: Sequence[Step]) -> str:
    """Of the JSON without spaces, keys sorted: equal where the steps are."""
    text = json.dumps(to_json(steps), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _ids(x: Array, ids: ArrayLike | None) -> np.ndarray[Any, np.dtype[np.uint64]]:
    found = np.arange(len(x), dtype=np.uint64) if ids is None else np.asarray(ids, np.uint64)
    if found.shape != (len(x),):
        raise DataError(f"one example id for each of {len(x)} rows, got ids of shape {found.shape}")
    return found
