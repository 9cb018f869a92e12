"""A models folder as somebody hostile, or a file system, may leave it."""

import os
import shutil
from pathlib import Path

import pytest
from rdserve.server.repository.scan import load_all, scan
from rdserve.server.settings import SettingsError


async def names(folder: Path, tmp_path: Path) -> dict[str, str]:
    """Name -> reason of every offer."""
    return {offer.name: offer.reason for offer in await load_all(scan(folder), tmp_path / "scratch")}


async def test_file_names_that_are_no_text_are_listed_as_text(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in (b"\xff\xfe.mar", b"a\nserving 1 models on evil:1.mar", "ü.mar".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"no archive")
    offers = await names(folder, tmp_path)
    assert set(offers) == {"__", "a_serving_1_models_on_evil_1", "_"}
    for name, reason in offers.items():
        assert name.isascii()
        assert "\n" not in reason
        assert reason.encode()


async def test_no_model_takes_the_service_s_name(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(store, folder)
    (folder / "rdserve.v1.VaeService.mar").write_bytes(b"no archive")
    assert set(await names(folder, tmp_path)) == {"tiny-mmm", "tiny-mpv", "tiny-ppp"}


async def test_what_is_no_file_is_a_bad_archive(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "folder.mar").mkdir(parents=True)
    (folder / "nowhere.mar").symlink_to(tmp_path / "nothing")
    (folder / "linked.mar").symlink_to(store / "tiny-mmm.mar")  # as Kubernetes mounts volumes
    offers = await names(folder, tmp_path)
    assert offers["tiny-mmm"] == ""
    assert "not a readable archive" in offers["folder"]
    assert "not a readable archive" in offers["nowhere"]


def test_an_empty_folder_has_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"holds no \.mar archive"):
        scan(tmp_path)
