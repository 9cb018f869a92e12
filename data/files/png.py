"""A folder of PNG files, sorted by name: a file's place is its example id.

Folders named train, valid and test are splits; without them all is the test split. Within a split, folders
are classes, numbered by name.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rdserve.data.errors import DataError
from rdserve.data.files.contents import ONE_SPLIT, Contents, split_named
from rdserve.data.kinds import Array

# Pillow's mode of an image: the dtype of its pixels, and how many there are at each place.
_MODES: dict[str, tuple[type[np.generic], int]] = {
    "1": (np.bool_, 1),
    "L": (np.uint8, 1),
    "RGB": (np.uint8, 3),
    "I;16": (np.uint16, 1),
}


def read(folder: Path) -> Contents:
    """Grey (N, H, W) or colour (N, 3, H, W); of 1, 8 or 16 bits.

    Raises:
        DataError: no PNG, images of several sizes or modes, one that cannot be read, files beside folders of
            them, or no Pillow.
    """
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and _holds_png(path)}
    splits = {name: split_named(name) for name in found}
    if not any(splits.values()):
        return _contents({ONE_SPLIT: folder})
    if strangers := [name for name, split in splits.items() if split is None]:
        raise DataError(
            f"{folder} holds folders {', '.join(found)}: of these {', '.join(strangers)} is no split "
            "(train, valid, test); put classes into the folders of splits"
        )
    return _contents({str(splits[name]): path for name, path in found.items()})


def files(folder: Path) -> list[Path]:
    """The PNG files in a folder and in its folders, by name."""
    return sorted(
        (path for path in folder.rglob("*") if path.suffix.lower() == ".png" and path.is_file()),
        key=lambda path: path.relative_to(folder).parts,
    )


def _holds_png(folder: Path) -> bool:
    return any(path.suffix.lower() == ".png" and path.is_file() for path in folder.rglob("*"))


def _contents(folders: dict[str, Path]) -> Contents:
    found = {split: files(folder) for split, folder in folders.items()}
    inside = {split: _classes(folders[split], paths) for split, paths in found.items()}
    places = {
        name: place for place, name in enumerate(sorted({each for of in inside.values() for each in of}))
    }
    return Contents(
        {split: _images(paths) for split, paths in found.items()},
        {split: np.array([places[name] for name in names]) for split, names in inside.items() if names},
    )


def _classes(folder: Path, paths: Sequence[Path]) -> list[str]:
    """The class of each file, where all lie in folders; where none does, nothing.

    Raises:
        DataError: only some do.
    """
    parts = [path.relative_to(folder).parts for path in paths]
    inside = [part[0] for part in parts if len(part) > 1]
    if inside and len(inside) < len(parts):
        raise DataError(
            f"{folder} holds {len(parts) - len(inside)} .png files beside {len(inside)} in folders; "
            "put all into folders of classes, or none"
        )
    return inside


def _images(paths: Sequence[Path]) -> Array:
    """All of them in one array, each read once into its place."""
    first = _pixels(paths[0])
    out = np.empty((len(paths), *first.shape), first.dtype)
    for place, path in enumerate(paths):
        pixels = _pixels(path)
        if (pixels.shape, pixels.dtype) != (first.shape, first.dtype):
            raise DataError(
                f"images of a data set are alike, but {paths[0].name} is {first.dtype} {first.shape} and "
                f"{path.name} {pixels.dtype} {pixels.shape}"
            )
        out[place] = pixels
    return out


def _pixels(path: Path) -> Array:
    """(H, W), or (3, H, W) in colour."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("PNG files are read with Pillow; pip install 'rdserve[data]'") from None
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            mode, pixels = image.mode, np.asarray(image)
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise DataError(f"{path}: not a readable PNG file ({error})") from error
    if mode not in _MODES:
        raise DataError(
            f"{path} has mode {mode}; images are grey (1, L, I;16) or colour (RGB): convert them, as by "
            "PIL.Image.open(FILE).convert('RGB')"
        )
    dtype, channels = _MODES[mode]
    found: Any = pixels.astype(dtype, copy=False)
    return np.moveaxis(found, -1, 0) if channels > 1 else found
