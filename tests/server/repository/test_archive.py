import json
import shutil
import stat
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rdserve.models.card import CARD_FILE, read_card
from rdserve.models.card_parts import WEIGHTS_FILE
from rdserve.server.repository.archive import HANDLER_FILE, MANIFEST_FILE, MEMBERS, ArchiveError, open_archive

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
    "another handler": (lambda m: m.update({"handler.py": b"import os"}), "handler is not this"),
    "one more file": (lambda m: m.update({"torch.py": b""}), "torch.py"),
    "a path outside": (lambda m: m.update({"../evil.py": b""}), "evil.py"),
    "no card": (lambda m: m.pop(CARD_FILE), "holds"),
    "a requirements file": (evil_manifest, "requirementsFile"),
    "manifest of no object": (lambda m: m.update({MANIFEST_FILE: b"[]"}), "MANIFEST|damaged"),
    "other weights": (flipped_bit, "the card says model.safetensors"),
    "a huge card": (lambda m: m.update({CARD_FILE: b" " * (2**20 + 1)}), "1048577 bytes"),
    "an absolute path": (lambda m: m.update({"/etc/cron.d/evil": b""}), "/etc/cron.d/evil"),
    "a folder outside": (lambda m: m.update({"../evil/": b""}), "evil"),
    "a deep manifest": (lambda m: m.update({MANIFEST_FILE: b"[" * 10**6}), "damaged"),
    "a deep card": (lambda m: m.update({CARD_FILE: b"[" * 10**6}), "model.json"),
    "a card of no text": (lambda m: m.update({CARD_FILE: b"\xff\xfe"}), "model.json"),
    "a card of no card": (lambda m: m.update({CARD_FILE: b"{}"}), "architecture: Field required"),
}


def test_a_packaged_archive_is_accepted(archive: Path, checkpoints: Path, tmp_path: Path) -> None:
    card = read_card(checkpoints / "tiny-mmm")
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


def test_one_name_twice_is_refused(archive: Path) -> None:
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(archive, "a") as file:
        file.writestr(HANDLER_FILE, b"import os")
    with pytest.raises(ArchiveError, match=r"handler\.py, handler\.py"):
        open_archive(archive)


def test_bombs_are_refused_unpacked_or_not(archive: Path) -> None:
    """What a member claims is bounded, and what it holds beyond its claim is not read."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in (members | {CARD_FILE: bytes(2**28)}).items():
            file.writestr(name, data)
    with pytest.raises(ArchiveError, match="268435456 bytes, at most 1048576"):
        open_archive(archive)
    data = archive.read_bytes().replace((2**28).to_bytes(4, "little"), (2**10).to_bytes(4, "little"))
    archive.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        open_archive(archive)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_no_method_of_packing_that_takes_memory(archive: Path, method: int) -> None:
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    with pytest.raises(ArchiveError, match=f"method {method}"):
        open_archive(archive)


def test_torchserve_gets_the_members_that_were_verified(archive: Path, tmp_path: Path) -> None:
    """A zip file read from its front, as Java does, may hold other members than its directory lists."""
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as file:
        file.writestr(HANDLER_FILE, b"import os  # evil")
    prefix = evil.read_bytes()
    archive.write_bytes(prefix[: prefix.index(b"PK\x01\x02")] + archive.read_bytes())
    verified = open_archive(archive)
    (tmp_path / "store").mkdir()
    verified.copy_into(tmp_path / "store")
    (copy,) = (tmp_path / "store").iterdir()
    assert copy.name == "tiny-mmm.mar"
    assert b"evil" not in copy.read_bytes()
    assert copy.read_bytes().count(b"PK\x03\x04") == len(MEMBERS | {WEIGHTS_FILE})


def test_an_archive_that_changed_meanwhile_is_not_handed_on(archive: Path, store: Path) -> None:
    verified = open_archive(archive)
    shutil.copy(store / "tiny-ppp.mar", archive)
    folder = archive.parent / "store"
    folder.mkdir()
    with pytest.raises(ArchiveError, match="changed after it was verified"):
        verified.copy_into(folder)
    rewrite(archive, lambda m: m.update({"handler.py": b"import os"}))
    with pytest.raises(ArchiveError, match="handler is not this"):
        verified.copy_into(folder)


def test_links_in_an_archive_are_bytes(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(entry, b"/etc/passwd" if name == WEIGHTS_FILE else data)
    with pytest.raises(ArchiveError, match=r"the card says model\.safetensors"):
        open_archive(archive)
