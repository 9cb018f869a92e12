"""Lake's Omniglot at 28 x 28, in the place of the set of Burda et al. (2016), which cannot be had any more.

It differs from theirs in all that makes the pixels: how 105 x 105 drawings become 28 x 28, that each pixel
is drawn once rather than anew in each epoch, and which drawings are held out. Nats on it are not those of
the literature.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdserve.data.dataset import SPLITS, Images, Labels, Progress, Source, canonical_sha256
from rdserve.data.errors import DataError

FILE = "omniglot_28x28_box_NOT_IWAE.npz"
BINARISATION = (
    "static, one Bernoulli(grey / 255) draw per pixel of the area means of 105 x 105 drawings; "
    "other pixels and another split than Burda et al. (2016)"
)
SIZES = {"train": 23_000, "valid": 1_345, "test": 8_115}  # theirs: 24345 for training, 8070 for tests
SHA256 = "ddd5a6dde7ca41ec7f477f412d0694aad807b64e2a3b8ff5f0132714a4e03323"


def read(root: Path | None = None, progress: Progress | None = None) -> Source:
    """All splits: 23000 train, 1345 valid, 8115 test; labels are the 50 alphabets. It has no download.

    Raises:
        DataError: no file in the folder, or other images than these.
    """
    folder = root or Path(os.environ.get("RDSERVE_DATA") or Path.home() / ".cache" / "rdserve")
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"{folder} does not hold {FILE}; docs/data.md says how it is made")
    with np.load(path) as stored:
        images, labels = split_and_draw(stored["images"], stored["alphabet"])
    found = canonical_sha256(images)
    if found != SHA256:
        raise DataError(f"{path}: this Omniglot hashes to {SHA256}, that file to {found}; make it again")
    return Source("omniglot", images, labels, BINARISATION)


def split_and_draw(
    grey: NDArray[np.uint8], alphabet: NDArray[np.uint8]
) -> tuple[dict[str, Images], dict[str, Labels]]:
    """Images and labels by split, of grey (32460, 28, 28), ink 255.

    Order and pixels are those of RandomState(0), whose stream numpy keeps.
    """
    random = np.random.RandomState(0)
    order = random.permutation(len(grey))
    ink = random.random_sample(grey.shape) < grey / 255
    ends = np.cumsum([SIZES[split] for split in SPLITS])[:-1]
    parts = dict(zip(SPLITS, np.split(order, ends), strict=True))
    images = {split: ink[part] for split, part in parts.items()}
    return images, {split: alphabet[part] for split, part in parts.items()}
