"""scikit-learn's 8x8 handwritten digits, grey and binary, from digits.npz (tools/make_digits.py)."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from rdserve.data.dataset import SPLITS, Progress, Source

N_LEVELS, THRESHOLD = 17, 8
BINARISATION = "grey level >= 8 of 16"


def read(root: Path | None = None, progress: Progress | None = None) -> Source:
    """All splits: 1197 train, 200 valid, 400 test. `root` and `progress` have nothing to do here."""
    grey = read_grey()
    binary = {split: x >= THRESHOLD for split, x in grey.x.items()}
    return replace(grey, name="digits", x=binary, binarisation=BINARISATION, levels=None)


def read_grey(root: Path | None = None, progress: Progress | None = None) -> Source:
    """The same images in the same order, in 17 levels."""
    with (files("rdserve.data") / "digits.npz").open("rb") as file, np.load(file) as stored:
        return Source(
            name="digits-grey",
            x={split: stored[split] for split in SPLITS},
            labels={split: stored[f"{split}_label"] for split in SPLITS},
            levels=N_LEVELS,
        )
