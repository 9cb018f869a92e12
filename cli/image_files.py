"""Arrays in and out of files; and of data sets, for one model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.cli import data_choice
from rdserve.client import Client, InputError
from rdserve.data import DataError
from rdserve.data.files.arrays import stored

Array = NDArray[Any]
IMAGES_SHOWN = 8


def model_images(
    client: Client,
    model: str,
    file: Path | None,
    data: str | None,
    *,
    split: str,
    limit: int | None,
    root: Path | None,
    preprocess: Sequence[str] | None,
) -> Array:
    """Images (N, H, W) from a .npy or .npz file, or from a data set as the model takes them; the first
    `limit`.

    Raises:
        InputError: not exactly one source, a file that holds no such array, or steps not the model's.
        DataError: as `rdserve.data.read`.
    """
    if (file is None) == (data is None):
        raise InputError("give --images FILE, or --data NAME")
    if data is None:
        return read_images(file or Path())[:limit]
    return data_choice.chosen(
        data,
        split=split,
        root=root,
        preprocess=preprocess,
        models=lambda shape: data_choice.stated_by([client.model(model)], shape),
    ).x[:limit]


def read_images(file: Path) -> Array:
    """Images (N, H, W) from a .npy or .npz file.

    Raises:
        InputError: a file that holds no such array.
    """
    return read_array(file, "images")


def read_labels(file: Path, n: int) -> Array:
    """Classes (n,) of the first n images, from a .npy or .npz file.

    Raises:
        InputError: a file that holds no such array, or fewer labels.
    """
    labels = read_array(file, "labels")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{file}: labels are whole numbers (N,), got {labels.dtype} {labels.shape}")
    if len(labels) < n:
        raise InputError(f"{file} holds {len(labels)} labels for {n} images")
    return labels[:n]


def read_array(file: Path, name: str) -> Array:
    """The one array of a .npy or .npz file, or the one of that name.

    Raises:
        InputError: a file that holds no such array.
    """
    try:
        arrays = stored(file)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except DataError as error:
        raise InputError(str(error)) from error
    if name not in arrays and len(arrays) != 1:
        raise InputError(f"{file} holds {', '.join(arrays) or 'nothing'}; name one of them {name}")
    return arrays.get(name, next(iter(arrays.values())))


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
