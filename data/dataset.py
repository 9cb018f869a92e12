"""What every data set is made of."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "valid", "test")

Images = NDArray[np.bool_]  # (N, H, W), ink = True
Labels = NDArray[np.uint8]  # (N,)
Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)


class DataError(ValueError):
    """A data set that is unknown, missing, or not what it should be."""


@dataclass(frozen=True)
class Dataset:
    """One split.

    images: (N, H, W) bool, ink = True.
    labels: (N,) uint8 class of each image, or None where none are known.
    sha256: of the whole data set, all splits; see `canonical_sha256`.
    binarisation: how the pixels became 0 or 1, in words.
    """

    name: str
    split: str
    images: Images
    labels: Labels | None
    sha256: str
    binarisation: str


@dataclass(frozen=True)
class Source:
    """All the splits of a data set, as read."""

    name: str
    images: Mapping[str, Images]
    labels: Mapping[str, Labels]
    binarisation: str

    def split(self, split: str) -> Dataset:
        return Dataset(
            name=self.name,
            split=split,
            images=self.images[split],
            labels=self.labels.get(split),
            sha256=canonical_sha256(self.images),
            binarisation=self.binarisation,
        )


def canonical_sha256(images: Mapping[str, Images]) -> str:
    """Hash of the pixels of a data set, whatever file they came from.

    For each split in the order of SPLITS: the line "<split> <N> <H> <W>\\n" in ASCII, then each image's
    pixels in row-major order, eight to a byte, the first in the highest bit, the last byte filled with 0.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        n, height, width = images[split].shape
        digest.update(f"{split} {n} {height} {width}\n".encode("ascii"))
        digest.update(pack(images[split]).tobytes())
    return digest.hexdigest()


def pack(images: Images) -> NDArray[np.uint8]:
    """(N, H, W) pixels to (N, ceil(H*W/8)) bytes."""
    n, height, width = images.shape
    return np.packbits(images.reshape(n, height * width), axis=1)


def unpack(rows: NDArray[np.uint8], height: int, width: int) -> Images:
    """The inverse of `pack`."""
    return np.unpackbits(rows, axis=1, count=height * width).reshape(len(rows), height, width).astype(bool)
