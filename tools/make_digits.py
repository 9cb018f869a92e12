"""Make digits.npz: `python -m tools.make_digits data/digits.npz`. It alone needs scikit-learn.

The split is a fixed random permutation (not stratified) of the 1797 images, which scikit-learn keeps in
the order of their writers: the first 1197 are the training split, then 200 for validation, 400 for test.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES = {"train": 1197, "valid": 200, "test": 400}
SEED = 20171101


def make() -> dict[str, NDArray[np.generic]]:
    """For each split, its grey levels (N, 8, 8), its labels, each image's index in scikit-learn's order."""
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(grey))
    arrays: dict[str, NDArray[np.generic]] = {}
    start = 0
    for split, size in SIZES.items():
        index = order[start : start + size]
        arrays[split] = grey[index].reshape(-1, 8, 8).astype(np.uint8)
        arrays[f"{split}_label"] = labels[index].astype(np.uint8)
        arrays[f"{split}_index"] = index.astype(np.uint16)
        start += size
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[1]), **make())  # type: ignore[arg-type]
