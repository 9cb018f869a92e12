"""Arrays in and out of files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client import InputError
from rdserve.data import load

Array = NDArray[Any]
# What files of an array, and archives of them, begin with.
_NPY, _ZIP = b"\x93NUMPY", b"PK"
_MAGIC = (_NPY, _ZIP)
IMAGES_SHOWN = 8


def read_images(
    file: Path | None, data: str | None, *, split: str, limit: int | None, root: Path | None = None
) -> Array:
    """Images (N, H, W) from a .npy or .npz file, or from a data set; the first `limit` of them.

    Raises:
        InputError: not exactly one source, or a file that holds no such array.
        DataError: as `rdserve.data.load`.
    """
    if (file is None) == (data is None):
        raise InputError("give --images FILE, or --data NAME")
    images = load(data, split=split, root=root).images if data else _read(file or Path(), "images")
    return images[:limit]


def read_labels(file: Path, n: int) -> Array:
    """Classes (n,) of the first n images, from a .npy or .npz file.

    Raises:
        InputError: a file that holds no such array, or fewer labels.
    """
    labels = _read(file, "labels")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{file}: labels are whole numbers (N,), got {labels.dtype} {labels.shape}")
    if len(labels) < n:
        raise InputError(f"{file} holds {len(labels)} labels for {n} images")
    return labels[:n]


def _read(file: Path, name: str) -> Array:
    """The one array of a file, or the one of that name."""
    try:
        with file.open("rb") as stream:
            if not stream.read(len(_NPY)).startswith(_MAGIC):
                raise InputError(f"{file} is no .npy or .npz file; numpy.save(FILE, images) writes one")
            stream.seek(0)
            return _array(np.load(stream, allow_pickle=False), file, name)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # numpy, zipfile and zlib raise what they like on bytes that are no array
        why = "it holds Python objects, not numbers" if "allow_pickle" in str(error) else error
        raise InputError(f"{file}: not a readable .npy or .npz file ({why})") from error


def _array(loaded: Any, file: Path, wanted: str) -> Array:
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = list(loaded)
        name = wanted if wanted in names else names[0] if len(names) == 1 else None
        if name is None:
            raise InputError(f"{file} holds {', '.join(names) or 'nothing'}; name one of them {wanted}")
        return np.asarray(loaded[name])


def check_suffix(out: Path | None, allowed: tuple[str, ...]) -> None:
    """Before the work is done: raises InputError for a file name that says no format of `allowed`."""
    if out is not None and out.suffix not in allowed:
        raise InputError(f"{out}: write to a file that ends in {', '.join(allowed)}")


def write_arrays(out: Path, arrays: Mapping[str, Array], *, main: str) -> None:
    """All arrays to an .npz; `main` alone to an .npy; columns of a .csv."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npz":
        np.savez_compressed(out, allow_pickle=False, **arrays)
    elif out.suffix == ".npy":
        np.save(out, arrays[main], allow_pickle=False)
    else:
        table = np.stack(list(arrays.values()), axis=1)
        np.savetxt(out, table, delimiter=",", header=",".join(arrays), comments="", fmt="%.17g")


def as_text(images: Array, *, width: int = 100) -> str:
    """Binary images (N, H, W) side by side in block characters, as many as fit; two pixels to a character."""
    fit = max(1, min(len(images), width // (images.shape[2] + 2)))
    strip = np.concatenate([np.pad(image, ((0, 0), (0, 2))) for image in images[:fit]], axis=1)
    if len(strip) % 2:
        strip = np.pad(strip, ((0, 1), (0, 0)))
    blocks = np.array(list(" ▀▄█"))[strip[0::2].astype(int) + 2 * strip[1::2].astype(int)]
    return "\n".join("".join(line).rstrip() for line in blocks)
