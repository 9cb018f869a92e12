"""numpy's own files: .npz with an array for each split, .npy with one."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rdserve.data.errors import DataError
from rdserve.data.files.contents import ONE_SPLIT, Contents, checked_labels, split_named
from rdserve.data.kinds import Array

# What files of an array, and archives of them, begin with.
NPY, NPZ = b"\x93NUMPY", b"PK"
_SPLIT = r"(train|valid|validation|val|test)"
_X = re.compile(rf"(?:x_)?{_SPLIT}|{_SPLIT}_x", re.IGNORECASE)
_LABEL = re.compile(rf"y_{_SPLIT}|{_SPLIT}_(?:labels?|y)", re.IGNORECASE)
_LABELS_ALONE = ("label", "labels", "y")


def stored(path: Path) -> dict[str, Array]:
    """The arrays of a .npz by name; that of a .npy under "".

    Raises:
        DataError: neither, a damaged one, or one that holds Python objects.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not file.read(len(NPY)).startswith((NPY, NPZ)):
            raise DataError(f"{path} is no .npy or .npz file; numpy.save(FILE, images) writes one")
        file.seek(0)
        try:
            found = np.load(file, allow_pickle=False)
            return {"": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found}
        except OSError:
            raise
        except Exception as error:  # numpy, zipfile and zlib raise what they like on bytes that are no array
            why = "it holds Python objects, not numbers" if "allow_pickle" in str(error) else error
            raise DataError(f"{path}: not a readable .npy or .npz file ({why})") from error


def read(path: Path) -> Contents:
    """Keys train, valid and test, with train_label and so on; x_train and y_train do too. One array alone is
    the test split, with "label" beside it.

    Raises:
        DataError: as `stored`; or arrays that no key tells apart.
    """
    arrays = stored(path)
    x, labels = _by_split(arrays, _X, path), _by_split(arrays, _LABEL, path)
    if not x:
        classes = [name for name in arrays if name in _LABELS_ALONE]
        others = [name for name in arrays if name not in _LABELS_ALONE]
        if len(others) != 1 or len(classes) > 1:
            raise DataError(
                f"{path} holds {', '.join(arrays) or 'nothing'}; name its arrays train, valid and test, and "
                "their labels train_label, valid_label and test_label"
            )
        x, labels = {ONE_SPLIT: arrays[others[0]]}, {}
        if classes:
            labels[ONE_SPLIT] = arrays[classes[0]]
    sizes = {split: len(array) if array.ndim else 0 for split, array in x.items()}
    found = {
        split: checked_labels(each, sizes[split], f"{path}, {split}")
        for split, each in labels.items()
        if split in x
    }
    return Contents(x, found)


def _by_split(arrays: Mapping[str, Array], key: re.Pattern[str], path: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        if match := key.fullmatch(name):
            split = split_named(next(filter(None, match.groups())))
            assert split is not None
            if split in found:
                raise DataError(
                    f"{path} holds {', '.join(arrays)}: more than one array for the {split} split"
                )
            found[split] = array
    return found
