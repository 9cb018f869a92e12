"""Make patches.npz: `python -m tools.make_patches data/patches.npz`. It alone needs scikit-learn and Pillow.

Each photograph (427 x 640) is cut into 13 rows and 20 columns of patches, what is over left out at the
bottom. Splits are bands of columns, so that what lies side by side is in one split: 12 columns for training,
2 for validation, 4 for test; the column between two bands is in none, so that no patch touches one of another
split. Which end a photograph's test band lies at is drawn, and the order within a split.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 32
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
BANDS = {"train": slice(0, 12), "valid": slice(13, 15), "test": slice(16, 20)}
SEED = 20171101


def make() -> dict[str, NDArray[np.generic]]:
    """For each split, its patches (N, 3, 32, 32), the photograph each is of, its (row, column) there."""
    from sklearn.datasets import load_sample_image

    random = np.random.Generator(np.random.PCG64(SEED))
    cut = [patches(np.asarray(load_sample_image(name))) for name in PHOTOGRAPHS]
    mirrored = random.random(len(cut)) < 0.5
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, band in BANDS.items():
        places = [
            (photograph, row, column)
            for photograph, of in enumerate(cut)
            for row in range(len(of))
            for column in np.arange(of.shape[1])[:: -1 if mirrored[photograph] else 1][band]
        ]
        chosen = np.array(places)[random.permutation(len(places))]
        arrays[split] = np.stack([cut[photograph][row, column] for photograph, row, column in chosen])
        arrays[f"{split}_label"] = chosen[:, 0].astype(np.uint8)
        arrays[f"{split}_place"] = chosen[:, 1:].astype(np.uint8)
    return arrays


def patches(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) to (H // 32, W // 32, 3, 32, 32)."""
    rows, columns = photograph.shape[0] // SIDE, photograph.shape[1] // SIDE
    whole = photograph[: rows * SIDE, : columns * SIDE]
    return whole.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 4, 1, 3)


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[1]), **make())  # type: ignore[arg-type]
