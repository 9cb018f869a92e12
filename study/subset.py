"""Which images a study measures on: a split, or a random part of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.data import Dataset

SUBSET_SEED = 0


@dataclass(frozen=True)
class Examples:
    """Some rows of a split. rows: (n,) ascending places in it, which are also the example ids."""

    dataset: Dataset
    rows: NDArray[np.int64]

    @property
    def images(self) -> NDArray[np.bool_]:
        """(n, H, W)."""
        return self.dataset.images[self.rows]

    @property
    def ids(self) -> NDArray[np.uint64]:
        """(n,): with a seed, the names of the noise; those of a card's own numbers."""
        return self.rows.astype(np.uint64)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(n,), where the data set has labels."""
        labels = self.dataset.labels
        return None if labels is None else labels[self.rows].astype(np.int64)

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether that is all of the split."""
        return self.n == len(self.dataset.images)

    @property
    def words(self) -> str:
        """ "test, 400 images" or "test, 100 of 400 images"."""
        of = "" if self.is_whole else f" of {len(self.dataset.images)}"
        return f"{self.dataset.split}, {self.n}{of} images"


def examples(dataset: Dataset, limit: int | None = None) -> Examples:
    """All of a split, or `limit` of it, the same every time: drawn, for splits may be sorted by class."""
    n = len(dataset.images)
    if limit is None or limit >= n:
        return Examples(dataset, np.arange(n))
    order = np.random.default_rng(SUBSET_SEED).permutation(n)
    return Examples(dataset, np.sort(order[:limit]))
