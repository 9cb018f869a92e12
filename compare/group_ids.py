"""Ids of groups as a caller gives them, and images in an order that keeps groups whole."""

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdserve.client.errors import InputError
from rdserve.compare.statistics.groups import coded
from rdserve.wire.batches import slices

Int64 = NDArray[np.int64]


def as_group_ids(given: ArrayLike, n: int) -> Int64:
    """(n,): whole numbers as they are; names numbered in their order.

    Raises:
        InputError: not one id for each of n images, or ids that are neither.
    """
    ids = np.asarray(given)
    if ids.shape != (n,):
        raise InputError(f"one group id per image: {n} images, group ids of shape {ids.shape}")
    if ids.dtype.kind in "iu" and (not n or int(ids.max()) < 2**63):
        return ids.astype(np.int64)
    if ids.dtype.kind not in "US":
        raise InputError(f"group ids are whole numbers or names, got {ids.dtype}")
    return coded(ids)[0]


def shuffled(n: int, groups: Int64 | None, rng: np.random.Generator) -> Int64:
    """A random order of n examples; groups in random order, each whole."""
    if groups is None:
        return rng.permutation(n)
    codes, count = coded(groups)
    place = rng.permutation(count)
    return np.argsort(place[codes], kind="stable")


def looks(n: int, groups: Int64 | None, chunk: int) -> Iterator[int]:
    """After how many of n ordered examples to look: each time `chunk` more, and the rest of their group."""
    if groups is None:
        yield from (part.stop for part in slices(n, chunk))
        return
    ends = [*(np.flatnonzero(np.diff(groups)) + 1).tolist(), n]
    at = 0
    while at < n:
        at = ends[min(bisect_left(ends, at + chunk), len(ends) - 1)]
        yield at
