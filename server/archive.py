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

import rdserve.models
from rdserve.models.card import CARD_FILE, WEIGHTS_FILE, Card, CardError, parse_card

HANDLER_FILE = "handler.py"
MANIFEST_FILE = "MAR-INF/MANIFEST.json"
MEMBERS = frozenset({HANDLER_FILE, CARD_FILE, WEIGHTS_FILE, MANIFEST_FILE})
SUFFIX = ".mar"
# Far above any card, manifest or handler, far below what could hurt.
MAX_TEXT_BYTES = 2**20


class ArchiveError(ValueError):
    """An archive that the service does not load; the message says why."""


@dataclass(frozen=True)
class Archive:
    """A verified archive."""

    path: Path
    card: Card

    def extract(self, folder: Path) -> None:
        """Write the card and the weights into a new folder: a checkpoint again."""
        folder.mkdir(parents=True)
        with zipfile.ZipFile(self.path) as file:
            for name in (CARD_FILE, WEIGHTS_FILE):
                with file.open(name) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def installed_handler() -> Path:
    """The handler that archives made here carry."""
    return Path(rdserve.models.__file__).with_name(HANDLER_FILE)


def read_archive_card(path: Path) -> Card:
    """The card in an archive.

    Raises:
        ArchiveError: not an archive, or its card breaks the contract.
    """
    with _opened(path) as file:
        return _card(file, path)


def open_archive(path: Path) -> Archive:
    """Verify an archive: members, manifest, handler, card, hash of the weights.

    Raises:
        ArchiveError: quotes the two facts that disagree.
    """
    with _opened(path) as file:
        _check_members(file, path)
        card = _card(file, path)
        _check_manifest(_text(file, MANIFEST_FILE, path), card, path)
        if _text(file, HANDLER_FILE, path) != installed_handler().read_bytes():
            raise ArchiveError(
                f"{path.name}: its handler is not the one of this installation; package the checkpoint again"
            )
        _check_weights(file, card, path)
    return Archive(path, card)


class _opened(zipfile.ZipFile):
    """A zip file whose every fault, on opening or reading, is an ArchiveError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            super().__init__(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ArchiveError(f"{path.name}: not a readable archive: {error}") from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, ArchiveError) or error is None:
            return
        if isinstance(error, Exception):  # zipfile and zlib raise what they like on hostile bytes
            raise ArchiveError(f"{self._path.name}: damaged archive: {error}") from None


def _check_members(file: zipfile.ZipFile, path: Path) -> None:
    names = [entry.filename for entry in file.infolist() if not entry.is_dir()]
    if sorted(names) != sorted(MEMBERS):
        raise ArchiveError(
            f"{path.name}: holds {', '.join(sorted(names)[:8]) or 'nothing'}; "
            f"an archive made by `rdserve package` holds {', '.join(sorted(MEMBERS))}"
        )


def _text(file: zipfile.ZipFile, name: str, path: Path) -> bytes:
    size = file.getinfo(name).file_size
    if size > MAX_TEXT_BYTES:
        raise ArchiveError(f"{path.name}: {name} has {size} bytes, at most {MAX_TEXT_BYTES} are read")
    return file.read(name)


def _card(file: zipfile.ZipFile, path: Path) -> Card:
    try:
        return parse_card(_text(file, CARD_FILE, path), where=f"{path.name}/{CARD_FILE}")
    except CardError as error:
        raise ArchiveError(str(error)) from None


def _check_manifest(text: bytes, card: Card, path: Path) -> None:
    found = json.loads(text).get("model")
    expected = {
        "modelName": card.name,
        "serializedFile": WEIGHTS_FILE,
        "handler": HANDLER_FILE,
        "modelVersion": card.version,
    }
    if found != expected:
        raise ArchiveError(f"{path.name}: the manifest says {found}, the card asks for {expected}")


def _check_weights(file: zipfile.ZipFile, card: Card, path: Path) -> None:
    digest = hashlib.sha256()
    with file.open(WEIGHTS_FILE) as weights:
        while block := weights.read(2**20):
            digest.update(block)
    if digest.hexdigest() != card.weights.sha256:
        raise ArchiveError(
            f"{path.name}: the card says weights {card.weights.sha256}, the file is {digest.hexdigest()}"
        )
