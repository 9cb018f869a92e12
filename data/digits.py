"""scikit-learn's 8x8 handwritten digits, binarised and embedded: digits.npz, made by make_digits.py."""

from importlib.resources import files
from pathlib import Path

import numpy as np
from rdserve.data.dataset import SPLITS, Progress, Source, unpack

BINARISATION = "grey level >= 8 of 16"


def read(root: Path | None = None, progress: Progress | None = None) -> Source:
    """All splits: 1197 train, 200 valid, 400 test. `root` and `progress` have nothing to do here."""
    with (files("rdserve.data") / "digits.npz").open("rb") as file, np.load(file) as stored:
        return Source(
            name="digits",
            images={split: unpack(stored[split], 8, 8) for split in SPLITS},
            labels={split: stored[f"{split}_label"] for split in SPLITS},
            binarisation=BINARISATION,
        )
