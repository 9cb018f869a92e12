"""Per-example rows on disk: a .npy file per model and column, and marks of what is done.

    rows/manifest.json                 what the rows belong to
    rows/models/<name>/rate_nats.npy   (N,) float64, and three more columns
    rows/models/<name>/done.npy        (chunks,) uint64: the chunk's mark, or 0

A chunk's mark is written after its rows and holds their checksum, so that whatever ends the process, and even
the machine, a marked chunk is whole: one whose rows do not add up counts as not done.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import InputError
from rdserve.client.results import Score

SCHEMA = "rdserve-rows/1"
COLUMNS = ("rate_nats", "distortion_nats", "importance_bound_nats", "importance_ess")
DONE = np.uint64(1 << 32)
EXACT = np.uint64(1 << 33)
MANIFEST, FINISHED = "manifest.json", "finished"

Float64 = NDArray[np.float64]


class OtherRun(InputError):
    """The folder's rows belong to another run."""


class RowStore:
    """The rows of one run. Only one process may have them open.

    facts: what the rows depend on besides the model. Rows of other facts are refused while their run is
    under way, and make room once it is finished.
    models: name -> its weights' hash, and what they are computed in and on where that is known. A model may
    be new to the folder, or left out.
    began: when the rows were begun, ISO 8601 in UTC; kept with them.

    Raises:
        InputError: rows of another run, or another process has them open.
    """

    def __init__(
        self, folder: Path, facts: Mapping[str, Any], models: Mapping[str, str], *, n: int, chunk: int
    ) -> None:
        self._folder = folder
        self._n, self.chunk = n, chunk
        self._facts = {"schema": SCHEMA, **facts, "n": n, "rows_per_chunk": chunk}
        self.began = datetime.now(UTC).isoformat(timespec="seconds")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self._begin(models)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the rows."""
        os.close(self._lock)

    @property
    def n_chunks(self) -> int:
        return -(-self._n // self.chunk)

    def rows(self, chunk: int) -> slice:
        """Which examples a chunk holds."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self._n))

    def missing(self, model: str) -> NDArray[np.bool_]:
        """(chunks,): which have no whole rows yet."""
        marks = np.load(self._path(model, "done"))
        columns = [np.load(self._path(model, name), mmap_mode="r") for name in COLUMNS]
        missing: NDArray[np.bool_] = marks == 0
        for chunk in np.flatnonzero(~missing):
            rows = self.rows(int(chunk))
            missing[chunk] = marks[chunk] & ~EXACT != _sum([column[rows] for column in columns])
        return missing

    def write(self, model: str, chunk: int, score: Score) -> None:
        """The rows of one chunk, then its mark.

        Raises:
            ValueError: another number of rows.
        """
        rows = self.rows(chunk)
        columns = [np.ascontiguousarray(getattr(score, name), np.float64) for name in COLUMNS]
        if any(len(column) != rows.stop - rows.start for column in columns):
            raise ValueError(f"chunk {chunk} has {rows.stop - rows.start} rows, got {len(columns[0])}")
        for name, column in zip(COLUMNS, columns, strict=True):
            _write(self._path(model, name), rows.start, column)
        mark = _sum(columns) | (EXACT if score.rate_is_exact else np.uint64(0))
        _write(self._path(model, "done"), chunk, np.array([mark], np.uint64))

    def score(self, model: str, n: int) -> Score:
        """The first n rows of a model, left on disk until they are looked at."""
        marks = np.load(self._path(model, "done"))[: -(-n // self.chunk)]
        exact = bool((marks & EXACT).all())
        columns = {name: np.load(self._path(model, name), mmap_mode="r")[:n] for name in COLUMNS}
        return Score(**columns, rate_is_exact=exact)

    def _begin(self, models: Mapping[str, str]) -> None:
        finished = self._folder / FINISHED
        try:
            self._adopt(models)
        except OtherRun:
            if not finished.exists():
                raise
            (self._folder / MANIFEST).unlink()  # rows without one are nobody's
            self._adopt(models)
        finished.unlink(missing_ok=True)

    def _adopt(self, models: Mapping[str, str]) -> None:
        """Take over what the folder has, and make files for what is new. The manifest is written last."""
        known = self._known()
        changed = [name for name in models if known.get(name, models[name]) != models[name]]
        if changed:
            differ = "; ".join(
                f"{name}: weights {_brief(known[name])} there, {_brief(models[name])} now" for name in changed
            )
            raise OtherRun(f"{self._folder} holds rows of other models: {differ}. {_ADVICE}")
        for name in models.keys() - known.keys():
            self._create(name)
        document = {**self._facts, "began": self.began, "models": known | dict(models)}
        fresh = self._folder / f"{MANIFEST}.new"
        fresh.write_text(json.dumps(document, indent=1) + "\n")
        os.replace(fresh, self._folder / MANIFEST)

    def _known(self) -> dict[str, str]:
        """The models of the folder's manifest, whose beginning is then ours.

        Raises:
            InputError: its facts are others.
        """
        path = self._folder / MANIFEST
        if not path.exists():
            return {}
        try:
            document = json.loads(path.read_text())
            models = dict(document.pop("models"))
            began = str(document.pop("began", self.began))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no manifest of rows ({error}). {_ADVICE}") from None
        if document != self._facts:
            raise OtherRun(f"{self._folder} holds rows of another run: {self._differ(document)}. {_ADVICE}")
        self.began = began
        return models

    def _differ(self, document: Mapping[str, Any]) -> str:
        names = sorted(document.keys() | self._facts.keys())
        return "; ".join(
            f"{name} is {_short(document.get(name))} there, {_short(self._facts.get(name))} now"
            for name in names
            if document.get(name) != self._facts.get(name)
        )

    def _create(self, model: str) -> None:
        """Files of zeros, without blocks on disk until rows are written."""
        folder = self._path(model, "done").parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in COLUMNS:
            np.lib.format.open_memmap(self._path(model, name), "w+", np.dtype("<f8"), (self._n,))
        np.lib.format.open_memmap(self._path(model, "done"), "w+", np.dtype("<u8"), (self.n_chunks,))

    def _path(self, model: str, name: str) -> Path:
        return self._folder / "models" / _safe(model) / f"{name}.npy"


_ADVICE = "Take another folder, or start over with --restart"


def finish(folder: Path) -> None:
    """Say that the run is over and its rows may make room for another's."""
    (folder / FINISHED).touch()


def remove(folder: Path) -> None:
    """Forget the rows of a run. Raises InputError where another process has them open."""
    if folder.exists():
        lock = _locked(folder)
        (folder / MANIFEST).unlink(missing_ok=True)  # rows without one are nobody's
        shutil.rmtree(folder)
        os.close(lock)


def pixels_sha256(images: Any, chunks: Iterator[slice]) -> str:
    """Hash of binary images (N, H, W), read a chunk at a time: shape, then pixels eight to a byte."""
    digest = hashlib.sha256(f"{len(images)} {images.shape[1:]}\n".encode())
    for rows in chunks:
        part = np.asarray(images[rows]) != 0
        digest.update(np.packbits(part.reshape(len(part), -1), axis=1).tobytes())
    return digest.hexdigest()


def _locked(folder: Path) -> int:
    """A lock that ends with the process. Raises InputError where another one holds it."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InputError(f"{folder} is being written by another run; wait, or take another folder") from None
    return lock


def _write(path: Path, at: int, values: NDArray[Any]) -> None:
    """Entries from `at` on, past the file's header. Not mapped: written pages would count as our memory."""
    with path.open("r+b", buffering=0) as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        os.pwrite(file.fileno(), values.tobytes(), file.tell() + at * values.dtype.itemsize)


def _sum(columns: Sequence[Float64]) -> np.uint64:
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(np.ascontiguousarray(column, "<f8").tobytes(), checksum)
    return DONE | np.uint64(checksum)


def _safe(model: str) -> str:
    """A name for a folder: names come from the service, and may be "..", or nothing."""
    quoted = quote(model, safe=" +()@,=")
    return quoted if quoted.strip(".") else f"%{len(quoted)}"


def _brief(model: str) -> str:
    weights, *place = model.split(" ", 1)
    return " ".join([weights[:12], *place])


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
