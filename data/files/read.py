"""A path to a data set: what lies there is told by how it begins, not by its name."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rdserve.data import kinds
from rdserve.data.dataset import SPLITS, Source
from rdserve.data.errors import DataError
from rdserve.data.files import arrays, idx, png, tables
from rdserve.data.files.contents import Contents

FORMS = ".npz, .npy, idx, .csv, .parquet, or a folder of PNG or idx files"
_SUFFIXES = (".npz", ".npy", ".idx", ".gz", ".csv", ".parquet")


def is_file(name: str) -> bool:
    """Whether a data set's name is meant as a path: something is there, or it is written as one."""
    path = Path(name)
    return path.suffix.lower() in _SUFFIXES or len(path.parts) > 1 or path.exists()


def read(path: Path) -> Source:
    """All that a file or a folder holds, checked; its name is the data set's.

    Raises:
        DataError: nothing is there, or not what a data set may be; messages quote what is there and what is
            wanted.
        OSError: it cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; a data set is {FORMS}")
    found, files = _folder(path) if path.is_dir() else (_file(path), [path])
    where = str(path)
    splits = {split: found.x[split] for split in SPLITS if split in found.x}
    if not splits:
        raise DataError(f"{path} holds no examples")
    return Source(
        name=path.resolve().name,
        x=kinds.canonical(splits, where),
        labels=found.labels,
        columns=found.columns,
        file_sha256=sha256(path, files),
    )


def _folder(path: Path) -> tuple[Contents, list[Path]]:
    if files := idx.files(path):
        return idx.read_folder(path), files
    if files := png.files(path):
        return png.read(path), files
    held = sorted({each.suffix or each.name for each in path.iterdir()})
    raise DataError(
        f"{path} holds neither PNG nor idx files, but {', '.join(held[:5]) or 'nothing'}; "
        f"a data set is {FORMS}"
    )


def _file(path: Path) -> Contents:
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith((arrays.NPY, arrays.NPZ)):
        return arrays.read(path)
    if head.startswith(tables.PARQUET):
        return tables.read_parquet(path)
    if idx.is_idx(path):
        return idx.read(path)
    if path.suffix.lower() == ".csv":
        return tables.read_csv(path)
    raise DataError(f"{path} begins with {head!r}, which no data set does; a data set is {FORMS}")


def sha256(path: Path, files: Sequence[Path]) -> str:
    """Of a file, as `sha256sum` says it; of a folder, of what `sha256sum` writes of its files, by name."""
    hashes = {}
    for each in files:
        with each.open("rb") as file:
            hashes[each] = hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        return hashes[path]
    lines = "".join(f"{found}  {each.relative_to(path).as_posix()}\n" for each, found in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()
