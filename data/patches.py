"""Patches of scikit-learn's two sample photographs, from patches.npz (tools/make_patches.py)."""

from importlib.resources import files
from pathlib import Path

import numpy as np
from rdserve.data.dataset import SPLITS, Progress, Source


def read(root: Path | None = None, progress: Progress | None = None) -> Source:
    """All splits: 312 train, 52 valid, 104 test, each (3, 32, 32) of 256 levels; labels: 0 china, 1 flower.
    `root` and `progress` have nothing to do here."""
    with (files("rdserve.data") / "patches.npz").open("rb") as file, np.load(file) as stored:
        return Source(
            name="patches",
            x={split: stored[split] for split in SPLITS},
            labels={split: stored[f"{split}_label"] for split in SPLITS},
        )
