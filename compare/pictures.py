"""Which images to show."""

import numpy as np
from numpy.typing import NDArray

# The digits of the paper's reconstruction figures, in their order.
PAPER_CLASSES = (2, 0, 1, 8)


def representatives(labels: NDArray[np.uint8] | None, n: int, *, count: int = 4) -> NDArray[np.int64]:
    """Indices below n of `count` images to show, or of all n where there are fewer.

    With labels (n or more,): the first image of each of the paper's classes. Otherwise, and where a class
    is missing, spread evenly: some sets are sorted by class.
    """
    spread = np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(np.int64))
    if labels is None:
        return spread
    found = [np.flatnonzero(labels[:n] == label) for label in PAPER_CLASSES[:count]]
    if len(found) < count or not all(map(len, found)):
        return spread
    return np.array([indices[0] for indices in found], np.int64)
