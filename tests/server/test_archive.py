import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rdserve.models.card import CARD_FILE, WEIGHTS_FILE, read_card
from rdserve.server.archive import MANIFEST_FILE, ArchiveError, open_archive, read_archive_card

Members = dict[str, bytes]
Change = Callable[[Members], object]


@pytest.fixture
def archive(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(store / "tiny-mmm.mar", tmp_path))


def rewrite(path: Path, change: Change) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist() if not name.endswith("/")}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


def evil_manifest(members: Members) -> None:
    manifest = json.loads(members[MANIFEST_FILE])
    manifest["model"]["requirementsFile"] = "requirements.txt"
    members[MANIFEST_FILE] = json.dumps(manifest).encode()


def flipped_bit(members: Members) -> None:
    weights = bytearray(members[WEIGHTS_FILE])
    weights[-1] ^= 1
    members[WEIGHTS_FILE] = bytes(weights)


HOSTILE: dict[str, tuple[Change, str]] = {
    "another handler": (lambda m: m.update({"handler.py": b"import os"}), "handler is not the one"),
    "one more file": (lambda m: m.update({"torch.py": b""}), "torch.py"),
    "a path outside": (lambda m: m.update({"../evil.py": b""}), "evil.py"),
    "no card": (lambda m: m.pop(CARD_FILE), "holds"),
    "a requirements file": (evil_manifest, "requirementsFile"),
    "manifest of no object": (lambda m: m.update({MANIFEST_FILE: b"[]"}), "MANIFEST|damaged"),
    "other weights": (flipped_bit, "the card says weights"),
    "a huge card": (lambda m: m.update({CARD_FILE: b" " * (2**20 + 1)}), "1048577 bytes"),
    "a card of no card": (lambda m: m.update({CARD_FILE: b"{}"}), "architecture: Field required"),
}


def test_a_packaged_archive_is_accepted(archive: Path, checkpoints: Path, tmp_path: Path) -> None:
    card = read_card(checkpoints / "tiny-mmm")
    assert read_archive_card(archive) == card
    opened = open_archive(archive)
    assert opened.card == card
    opened.extract(tmp_path / "again")
    for name in (CARD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (checkpoints / "tiny-mmm" / name).read_bytes()


@pytest.mark.parametrize("case", HOSTILE)
def test_any_other_is_refused(archive: Path, case: str) -> None:
    change, says = HOSTILE[case]
    rewrite(archive, change)
    with pytest.raises(ArchiveError, match=says):
        open_archive(archive)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_bytes_are_refused(archive: Path, keep: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(ArchiveError, match=r"tiny-mmm\.mar"):
        open_archive(archive)


def test_damage_inside_is_refused(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"tiny-mmm\.mar"):
        open_archive(archive)
