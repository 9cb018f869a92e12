"""Archives as the service accepts them: only those that `packaging` made. Nothing is executed, no torch.

A TorchServe archive may carry any code. Ours may not: its members are known, its handler is the one
installed here, and its weights are those that its card describes.
"""

import hashlib
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import rdserve.models.worker
from rdserve.models.card import CARD_FILE, Card, CardError, parse_card
from rdserve.server.repository.selftest import SELFTEST_FILE, SelfTest, parse_selftest

HANDLER_FILE = "handler.py"
MANIFEST_FILE = "MAR-INF/MANIFEST.json"
# Beside the files that the card names.
MEMBERS = frozenset({HANDLER_FILE, CARD_FILE, SELFTEST_FILE, MANIFEST_FILE})
SUFFIX = ".mar"
# Where the archiver leaves the manifest.
FOLDERS = frozenset({"MAR-INF/"})
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Far above any card, manifest or handler, far below what could hurt.
MAX_TEXT_BYTES = 2**20
MAX_FILE_BYTES = 2**31 - 1


class ArchiveError(ValueError):
    """An archive that the service does not load; the message says why."""


@dataclass(frozen=True)
class Archive:
    """A verified archive."""

    path: Path
    card: Card
    selftest: SelfTest

    def copy_into(self, store: Path) -> None:
        """Write NAME.mar with the verified members and nothing else.

        A zip file says twice what it holds, in a directory at its end and before each member, and TorchServe
        goes by what is not checked here; and a file may change after it was checked. So it gets neither.

        Raises:
            ArchiveError: the archive is not what it was when it was verified.
        """
        target = store / f"{self.card.name}{SUFFIX}"
        with _opened(self.path) as source, zipfile.ZipFile(target, "w") as copy:
            for name in _members(source, self.path, self.card):
                with source.open(name) as old, copy.open(name, "w") as new:
                    shutil.copyfileobj(old, new)
        if open_archive(target).card != self.card:
            raise ArchiveError(f"{shown(self.path)}: it changed after it was verified")

    def extract(self, folder: Path) -> None:
        """Write the card and the files that it names into a new folder: what was packaged again."""
        folder.mkdir(parents=True)
        with zipfile.ZipFile(self.path) as file:
            for name in (CARD_FILE, *self.card.files):
                with file.open(name) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def installed_handler() -> Path:
    """The handler that archives made here carry."""
    return Path(rdserve.models.worker.__file__).with_name(HANDLER_FILE)


def manifest_model(card: Card) -> dict[str, str]:
    """What the manifest of a model's archive says of it."""
    return {
        "modelName": card.name,
        "serializedFile": next(iter(card.files)),
        "handler": HANDLER_FILE,
        "modelVersion": card.version,
    }


def open_archive(path: Path) -> Archive:
    """Verify an archive: members, manifest, handler, card, self-test, hashes of the card's files.

    Raises:
        ArchiveError: quotes the two facts that disagree.
    """
    with _opened(path) as file:
        card = _card(file, path)
        _members(file, path, card)
        _check_manifest(_text(file, MANIFEST_FILE), card, path)
        if _text(file, HANDLER_FILE) != installed_handler().read_bytes():
            raise ArchiveError(
                f"{shown(path)}: its handler is not this installation's; package the checkpoint again"
            )
        selftest = _selftest(file, card, path)
        _check_files(file, card, path)
    return Archive(path, card, selftest)


class _opened(zipfile.ZipFile):
    """A zip file whose every fault, on opening or reading, is an ArchiveError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            super().__init__(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ArchiveError(f"{shown(path)}: not a readable archive: {error}") from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, ArchiveError) or error is None:
            return
        if isinstance(error, Exception):  # zipfile and zlib raise what they like on hostile bytes
            raise ArchiveError(f"{shown(self._path)}: damaged archive: {error}") from None


def _entries(file: zipfile.ZipFile, path: Path) -> list[str]:
    """Names of the members, none of which hurts when it is read."""
    entries = [entry for entry in file.infolist() if entry.filename not in FOLDERS]
    for entry in entries:
        most = MAX_TEXT_BYTES if entry.filename in MEMBERS else MAX_FILE_BYTES
        if entry.file_size > most:
            raise ArchiveError(
                f"{shown(path)}: {entry.filename} has {entry.file_size} bytes, at most {most} are read"
            )
        if entry.compress_type not in METHODS:
            raise ArchiveError(
                f"{shown(path)}: {entry.filename} is packed with method {entry.compress_type}, not deflate"
            )
    return sorted(entry.filename for entry in entries)


def _members(file: zipfile.ZipFile, path: Path, card: Card | None = None) -> list[str]:
    """Raises ArchiveError unless the archive holds what its card asks for, each once, and nothing else."""
    names = _entries(file, path)
    beside = {*card.files} if card else {name for name in names if name not in MEMBERS}
    expected = sorted(MEMBERS | beside)
    if names != expected:
        raise ArchiveError(
            f"{shown(path)}: holds {', '.join(names[:8])[:500] or 'nothing'}; "
            f"an archive made by `rdserve package` holds {', '.join(expected)}"
        )
    return names


def _text(file: zipfile.ZipFile, name: str) -> bytes:
    """A small member's bytes. With a limit, because read() unpacks all there is before it cuts."""
    with file.open(name) as member:
        return member.read(MAX_TEXT_BYTES + 1)


def shown(path: Path) -> str:
    """A file's name as text that any message can hold: on disk it is bytes."""
    return path.name.encode("utf-8", "backslashreplace").decode()


def _card(file: zipfile.ZipFile, path: Path) -> Card:
    _members(file, path)
    try:
        return parse_card(_text(file, CARD_FILE), where=f"{shown(path)}/{CARD_FILE}")
    except CardError as error:
        raise ArchiveError(str(error)) from None


def _selftest(file: zipfile.ZipFile, card: Card, path: Path) -> SelfTest:
    try:
        return parse_selftest(_text(file, SELFTEST_FILE), card)
    except ValueError as error:
        raise ArchiveError(f"{shown(path)}/{SELFTEST_FILE}: {error}") from None


def _check_manifest(text: bytes, card: Card, path: Path) -> None:
    found, expected = json.loads(text).get("model"), manifest_model(card)
    if found != expected:
        raise ArchiveError(f"{shown(path)}: the manifest says {found}, the card asks for {expected}")


def _check_files(file: zipfile.ZipFile, card: Card, path: Path) -> None:
    for name, stated in card.files.items():
        digest = hashlib.sha256()
        with file.open(name) as member:
            while block := member.read(2**20):
                digest.update(block)
        if digest.hexdigest() != stated:
            raise ArchiveError(
                f"{shown(path)}: the card says {name} has sha256 {stated}, the file has {digest.hexdigest()}"
            )
