"""The idx files of MNIST and its kin, packed by gzip or not: one, or a folder with one for each split."""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
from rdserve.data.errors import DataError
from rdserve.data.files.contents import ONE_SPLIT, Contents, checked_labels, split_named
from rdserve.data.kinds import Array

GZIP = b"\x1f\x8b"
_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_SPLIT = re.compile(r"(train|valid|val|test|t10k)", re.IGNORECASE)


def is_idx(path: Path) -> bool:
    """Whether the file begins as one does, under gzip or not."""
    try:
        with _open(path) as file:
            head = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _DTYPES and head[3] > 0


def array(path: Path) -> Array:
    """The array of an idx file.

    Raises:
        DataError: none, or one with fewer or more bytes than it says.
        OSError: it cannot be read.
    """
    try:
        with _open(path) as file:
            content = bytearray(file.read())  # so that the array may be written to
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip ({error})") from error
    axes = content[3] if len(content) > 3 and content[2] in _DTYPES and content[:2] == b"\0\0" else 0
    start = 4 + 4 * axes
    if not axes or len(content) < start:
        raise DataError(f"{path} is no idx file: it begins with {content[:4].hex()}")
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    dtype = np.dtype(_DTYPES[content[2]])
    needed, held = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - start
    if held != needed:
        raise DataError(f"{path}: {dtype.name} of shape {shape} takes {needed} bytes, the file holds {held}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def read(path: Path) -> Contents:
    """One file: the split that its name begins with (t10k is test), or test; its labels lie beside it where
    its name with labels-idx1 for images-idx3 does.

    Raises:
        DataError, OSError: as `array`.
    """
    split, x = _split_of(path) or ONE_SPLIT, array(path)
    beside = path.with_name(re.sub(r"images([.-])idx\d", r"labels\1idx1", path.name))
    if beside == path or not beside.is_file():
        return Contents({split: x}, {})
    return Contents({split: x}, {split: checked_labels(array(beside), len(x), str(beside))})


def read_folder(folder: Path) -> Contents:
    """Each file is of the split that its name begins with; arrays of one axis are labels.

    Raises:
        DataError: a name that says no split, or two files for one; and as `array`.
    """
    x: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    for path in files(folder):
        split, found = _split_of(path), array(path)
        kind = labels if found.ndim == 1 else x
        if split is None:
            raise DataError(f"{path}: its name begins with no split; train, valid, test or t10k are known")
        if split in kind:
            raise DataError(f"{folder} holds two idx files for the {split} split, {path.name} among them")
        kind[split] = found
    checked = {
        split: checked_labels(each, len(x[split]), f"{folder}, {split}")
        for split, each in labels.items()
        if split in x
    }
    return Contents(x, checked)


def files(folder: Path) -> list[Path]:
    """The idx files that lie in a folder, by name."""
    some = (path for path in sorted(folder.iterdir()) if path.suffix.lower() != ".png" and path.is_file())
    return [path for path in some if is_idx(path)]


def _open(path: Path) -> gzip.GzipFile:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _split_of(path: Path) -> str | None:
    match = _SPLIT.match(path.name)
    if match is None:
        return None
    return "test" if match[1].lower() == "t10k" else split_named(match[1])
