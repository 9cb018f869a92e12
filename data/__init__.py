"""The data sets: binary images with a fixed train, valid and test split. numpy only.

`load("digits", split="test")` needs no file and no network; `load("static-mnist", split="test")` reads a
local copy or fetches one. See docs/data.md.
"""

from collections.abc import Callable
from pathlib import Path

from rdserve.data import digits, omniglot, static_mnist
from rdserve.data.dataset import SPLITS, DataError, Dataset, Progress, Source, canonical_sha256

__all__ = ["NAMES", "SPLITS", "DataError", "Dataset", "Progress", "Source", "canonical_sha256", "load"]

_READERS: dict[str, Callable[[Path | None, Progress | None], Source]] = {
    "digits": digits.read,
    "static-mnist": static_mnist.read,
    "omniglot": omniglot.read,
}
NAMES = tuple(_READERS)


def load(name: str, *, split: str, root: Path | None = None, progress: Progress | None = None) -> Dataset:
    """One split of a data set.

    Args:
        name: one of NAMES.
        split: one of SPLITS.
        root: folder that holds the files of a data set that is not embedded. Without it: the environment
            variable RDSERVE_DATA, then ~/.cache/rdserve, into which what is missing is downloaded.
        progress: called with (bytes so far, bytes in all) during a download.

    Raises:
        DataError: unknown name or split, files missing or not the data set they claim to be.
    """
    if name not in _READERS:
        raise DataError(f"no data set {name!r}; there are {', '.join(NAMES)}")
    if split not in SPLITS:
        raise DataError(f"data set {name!r} has no split {split!r}; there are {', '.join(SPLITS)}")
    return _READERS[name](root, progress).split(split)
