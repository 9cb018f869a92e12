"""The data sets, named or of one's own, with fixed train, valid and test splits. numpy only.

`load("digits", split="test")` needs no file and no network; `load("static-mnist", split="test")` reads a
local copy or fetches one; `load("my.npz", split="test")` reads a file. See docs/data.md.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from rdserve.data import digits, files, omniglot, patches, static_mnist
from rdserve.data.dataset import SPLITS, Dataset, Progress, Source, canonical_sha256
from rdserve.data.errors import DataError
from rdserve.data.kinds import Kind
from rdserve.data.preprocessing import Step

__all__ = [
    "NAMES",
    "SPLITS",
    "DataError",
    "Dataset",
    "Kind",
    "Progress",
    "Source",
    "Step",
    "canonical_sha256",
    "load",
    "read",
]

_READERS: dict[str, Callable[[Path | None, Progress | None], Source]] = {
    "digits": digits.read,
    "static-mnist": static_mnist.read,
    "digits-grey": digits.read_grey,
    "patches": patches.read,
    "omniglot": omniglot.read,
}
NAMES = tuple(_READERS)


def read(
    name: str, *, root: Path | None = None, progress: Progress | None = None, steps: Sequence[Step] = ()
) -> Source:
    """All splits of a data set.

    Args:
        name: one of NAMES, or the path of a file or a folder (`rdserve.data.files`).
        root: folder that holds the files of a named data set that is not embedded. Without it: the
            environment variable RDSERVE_DATA, then ~/.cache/rdserve, to which what is missing is downloaded.
        progress: called with (bytes so far, bytes in all) during a download.
        steps: preprocessing, in order.

    Raises:
        DataError: unknown name, files missing or not the data set they claim to be, or steps that cannot be
            done to it.
        OSError: a file cannot be read.
    """
    if name in _READERS:
        source = _READERS[name](root, progress)
    elif files.is_file(name):
        source = files.read(Path(name))
    else:
        raise DataError(f"no data set {name!r}; there are {', '.join(NAMES)}, or the path of {files.FORMS}")
    return source.preprocessed(steps) if steps else source


def load(
    name: str,
    *,
    split: str,
    root: Path | None = None,
    progress: Progress | None = None,
    steps: Sequence[Step] = (),
) -> Dataset:
    """One split of a data set: one of SPLITS. Other arguments, and what is raised, as of `read`."""
    if name in _READERS and split not in SPLITS:
        raise DataError(f"data set {name!r} has no split {split!r}; there are {', '.join(SPLITS)}")
    return read(name, root=root, progress=progress, steps=steps).split(split)
