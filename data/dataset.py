"""What every data set is made of."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.data import preprocessing
from rdserve.data.errors import DataError as DataError
from rdserve.data.kinds import Array, Kind, described, kind_of, levels_of
from rdserve.data.preprocessing import Prepared, Step

SPLITS = ("train", "valid", "test")

Images = NDArray[np.bool_]  # (N, H, W), ink = True
Labels = NDArray[np.integer[Any]]  # (N,)
Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)


@dataclass(frozen=True)
class Dataset:
    """One split. Row i is example i: with a seed, the name of its noise.

    x: (N, ...), in the dtype of its kind: bool, uint8 or uint16 levels, int32 counts, float32.
    labels: (N,) whole number, the class of each example, or None where none are known.
    sha256: of the whole data set, all splits, before preprocessing; see `canonical_sha256`.
    binarisation: how the values became 0 or 1, or what was done to x, in words; "none": as they came.
    preprocessing: the steps done to what the hash is of.
    levels: of levels 0, ..., levels - 1; None for other kinds. columns: names, of a table that has some.
    file_sha256: of the file, or of the folder's files, that a person named; empty for a named data set.
    """

    name: str
    split: str
    x: Array
    labels: Labels | None
    sha256: str
    binarisation: str
    preprocessing: tuple[Step, ...] = ()
    levels: int | None = None
    columns: tuple[str, ...] = ()
    file_sha256: str = ""

    @property
    def kind(self) -> Kind:
        """ "binary", "levels", "counts" or "real"."""
        return kind_of(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.x.shape[1:]

    @property
    def images(self) -> Images:
        """x of binary images (N, H, W), ink = True.

        Raises:
            DataError: x is something else.
        """
        if self.kind == "binary" and self.x.ndim == 3:
            return self.x
        raise DataError(
            f"binary images (N, H, W) are wanted, {self.name} holds {described(self.x, self.levels)}"
            f"{_hint(self)}"
        )


def _hint(data: Dataset) -> str:
    """What may make binary images of it."""
    if data.kind == "binary":
        return f": reshape its arrays from {data.x.shape} to (N, H, W)"
    if len(data.shape) != 2:
        return ""
    value = (data.levels or 2) // 2 if data.kind == "levels" else 0.5
    return f". --preprocess threshold={value:g} makes them binary, or another threshold"


@dataclass(frozen=True)
class Source:
    """All the splits of a data set, as read: x in the dtype of its kind. Other fields as in `Dataset`."""

    name: str
    x: Mapping[str, Array]
    labels: Mapping[str, Labels]
    binarisation: str = preprocessing.NONE
    levels: int | None = None
    columns: tuple[str, ...] = ()
    file_sha256: str = ""
    steps: tuple[Step, ...] = field(default=())

    @cached_property
    def sha256(self) -> str:
        """See `canonical_sha256`."""
        return canonical_sha256(self.x)

    @property
    def kind(self) -> Kind:
        """As read, before any step."""
        return kind_of(self._some)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example, as read."""
        return self._some.shape[1:]

    @property
    def _some(self) -> Array:
        return next(iter(self.x.values()))

    def preprocessed(self, steps: Sequence[Step]) -> "Source":
        """The same data with these steps after those it has, done as a split is taken.

        Raises:
            DataError: a step asks for the training split's numbers, and there is none.
        """
        train = self._prepared("train") if "train" in self.x else None
        return replace(self, steps=preprocessing.resolved((*self.steps, *steps), train))

    def split(self, split: str) -> Dataset:
        """Raises DataError: there is no such split, or a step cannot be done to these data."""
        if split not in self.x:
            raise DataError(f"data set {self.name!r} has no split {split!r}; there are {', '.join(self.x)}")
        found = preprocessing.run(self.steps, self._prepared(split))
        done = preprocessing.words(self.steps)
        told = [words for words in (self.binarisation, done) if words != preprocessing.NONE]
        return Dataset(
            name=self.name,
            split=split,
            x=found.x,
            labels=self.labels.get(split),
            sha256=self.sha256,
            binarisation=" then ".join(told) or preprocessing.NONE,
            preprocessing=self.steps,
            levels=found.levels or levels_of(found.x),
            columns=found.columns,
            file_sha256=self.file_sha256,
        )

    def _prepared(self, split: str) -> Prepared:
        x = self.x[split]
        return Prepared(x, np.arange(len(x), dtype=np.uint64), self.columns, self.levels)


def canonical_sha256(splits: Mapping[str, Array]) -> str:
    """Hash of the values of a data set, whatever file they came from.

    For each split it has, in the order of SPLITS: the line "<split> <N> <H> <W>\\n" in ASCII, with as many
    sizes as axes; then each example's values in row-major order. Booleans are packed eight to a byte, the
    first in the highest bit, the last byte of an example filled with 0. Of other dtypes the line ends in
    " <dtype>\\n", as "uint8", and values are little-endian.
    """
    digest = hashlib.sha256()
    for split in (name for name in SPLITS if name in splits):
        x = splits[split]
        line = " ".join([split, *map(str, x.shape)])
        if x.dtype == np.bool_:
            digest.update(f"{line}\n".encode("ascii"))
            digest.update(np.packbits(x.reshape(len(x), -1), axis=1).tobytes())
        else:
            digest.update(f"{line} {x.dtype.name}\n".encode("ascii"))
            digest.update(np.ascontiguousarray(x, x.dtype.newbyteorder("<")).data.cast("B"))
    return digest.hexdigest()


def pack(images: Images) -> NDArray[np.uint8]:
    """(N, H, W) pixels to (N, ceil(H*W/8)) bytes."""
    n, height, width = images.shape
    return np.packbits(images.reshape(n, height * width), axis=1)


def unpack(rows: NDArray[np.uint8], height: int, width: int) -> Images:
    """The inverse of `pack`."""
    # An array that lies by columns, as some files have it, would be unpacked so.
    pixels = np.unpackbits(np.ascontiguousarray(rows), axis=1, count=height * width)
    return pixels.reshape(len(rows), height, width).view(np.bool_)
