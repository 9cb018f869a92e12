"""The real set, where it is at hand (shared/data beside or in the repository), and its absence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rdserve.data import SPLITS, DataError, load, static_mnist
from rdserve.data.download import Remote
from shared_data import SHARED, needs_mnist

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three text files, written back from the packed ones, byte for byte as published."""
    folder = tmp_path_factory.mktemp("originals")
    for split in SPLITS:
        images = load("static-mnist", split=split, root=SHARED).images
        text = np.full((len(images), 784, 2), ord(" "), np.uint8)
        text[:, -1, 1] = ord("\n")
        text[:, :, 0] = images.reshape(-1, 784) + ord("0")
        (folder / f"binarized_mnist_{split}.amat").write_bytes(text.tobytes())
    return folder


@needs_mnist
def test_sizes_and_labels() -> None:
    for split, n in (("train", 50_000), ("valid", 10_000), ("test", 10_000)):
        data = load("static-mnist", split=split, root=SHARED)
        assert data.images.shape == (n, 28, 28)
        assert data.labels is not None
        assert data.labels.shape == (n,)


@needs_mnist
def test_the_text_files_are_read_as_the_same_images(originals: Path) -> None:
    text = load("static-mnist", split="test", root=originals)
    packed = load("static-mnist", split="test", root=SHARED)
    np.testing.assert_array_equal(text.images, packed.images)
    assert text.sha256 == packed.sha256
    assert text.labels is None


@needs_mnist
def test_a_download_is_verified_packed_and_kept(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remotes = {
        split: Remote((originals / f"binarized_mnist_{split}.amat").as_uri(), r.n_bytes, r.sha256)
        for split, r in static_mnist.ORIGINALS.items()
    }
    monkeypatch.setattr(static_mnist, "ORIGINALS", remotes)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RDSERVE_DATA", raising=False)
    seen: list[tuple[int, int]] = []
    first = load("static-mnist", split="valid", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (109_760_000, 109_760_000)
    kept = tmp_path / ".cache" / "rdserve"
    assert [path.name for path in kept.iterdir()] == [static_mnist.PACKED]
    monkeypatch.setattr(static_mnist, "ORIGINALS", {})
    np.testing.assert_array_equal(load("static-mnist", split="valid").images, first.images)


@needs_mnist
def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDSERVE_DATA", str(SHARED))
    assert len(load("static-mnist", split="test").images) == 10_000


@needs_mnist
def test_other_pixels_are_refused(tmp_path: Path) -> None:
    assert SHARED is not None
    with np.load(SHARED / static_mnist.PACKED) as stored:
        arrays = {split: stored[split] for split in SPLITS}
    arrays["test"][0, 0] ^= 1
    np.savez(
        tmp_path / static_mnist.PACKED, train=arrays["train"], valid=arrays["valid"], test=arrays["test"]
    )
    with pytest.raises(DataError, match=f"hashes to {static_mnist.SHA256}, these files to"):
        load("static-mnist", split="test", root=tmp_path)


def test_a_named_folder_without_the_files_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds neither binarized_mnist_larochelle.npz nor the three files"):
        load("static-mnist", split="test", root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "message"), [(b"0 1 ", "4 bytes"), (b"0 2 " * 392, "other characters")])
def test_text_that_is_not_the_format(text: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        static_mnist.parse_amat(text, where="x.amat")


def test_a_full_copy_needs_only_its_folder(tmp_path: Path) -> None:
    if SHARED is None:
        pytest.skip(f"no {static_mnist.PACKED} in shared/data")
    shutil.copy(SHARED / static_mnist.PACKED, tmp_path)
    assert load("static-mnist", split="train", root=tmp_path).labels is None
