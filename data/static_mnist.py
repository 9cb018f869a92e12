"""The static binarised MNIST of Larochelle and Murray (2011), from a local copy or from its public origin."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdserve.data.dataset import (
    SPLITS,
    Images,
    Labels,
    Progress,
    Source,
    canonical_sha256,
    pack,
    unpack,
)
from rdserve.data.download import Remote, fetch
from rdserve.data.errors import DataError

BINARISATION = "static, one Bernoulli(grey / 255) draw per pixel (Larochelle and Murray 2011)"
PACKED = "binarized_mnist_larochelle.npz"
LABELS = "binarized_mnist_larochelle_derived_labels.npz"
SHA256 = "c21332707a1209846a25a748b6f8b122b0c1585618abcea6e17e0a451e253582"

_ORIGIN = "http://www.cs.toronto.edu/~larochelle/public/datasets/binarized_mnist/"
ORIGINALS = {
    split: Remote(f"{_ORIGIN}binarized_mnist_{split}.amat", n_bytes, sha256)
    for split, n_bytes, sha256 in (
        ("train", 78_400_000, "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
        ("valid", 15_680_000, "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
        ("test", 15_680_000, "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
    )
}


def read(root: Path | None = None, progress: Progress | None = None) -> Source:
    """All splits: 50000 train, 10000 valid, 10000 test. For `root` and `progress` see `rdserve.data.load`.

    Raises:
        DataError: no files in the folder that was named, a failed download, or pixels not Larochelle's.
    """
    named = root or _named_by_environment()
    folder = named or Path.home() / ".cache" / "rdserve"
    images = _read_packed(folder) or _read_originals(folder)
    if images is None and named is not None:
        raise DataError(f"{named} holds neither {PACKED} nor the three files {_amat('{train,valid,test}')}")
    if images is None:
        images = _download(folder, progress)
    found = canonical_sha256(images)
    if found != SHA256:
        raise DataError(f"{folder}: static MNIST hashes to {SHA256}, these files to {found}; delete them")
    return Source("static-mnist", images, _read_labels(folder), BINARISATION)


def _named_by_environment() -> Path | None:
    folder = os.environ.get("RDSERVE_DATA")
    return Path(folder) if folder else None


def _amat(split: str) -> str:
    return f"binarized_mnist_{split}.amat"


def _read_packed(folder: Path) -> dict[str, Images] | None:
    if not (folder / PACKED).is_file():
        return None
    with np.load(folder / PACKED) as stored:
        return {split: unpack(stored[split], 28, 28) for split in SPLITS}


def _read_originals(folder: Path) -> dict[str, Images] | None:
    paths = {split: folder / _amat(split) for split in SPLITS}
    if not all(path.is_file() for path in paths.values()):
        return None
    return {split: parse_amat(path.read_bytes(), where=str(path)) for split, path in paths.items()}


def parse_amat(text: bytes, *, where: str) -> Images:
    """The images in a text of one line per image, "0 1 ... 0\\n": every second byte is a pixel.

    Raises:
        DataError: anything else than 0 and 1, or no whole number of lines.
    """
    per_image = 2 * 28 * 28
    pixels: NDArray[np.uint8] = np.frombuffer(text, np.uint8)[::2] - np.uint8(ord("0"))
    if len(text) % per_image:
        raise DataError(f"{where}: a line has {per_image} bytes, but {len(text)} bytes are not so many lines")
    if pixels.max(initial=0) > 1:
        raise DataError(f"{where}: pixels are written 0 or 1, but there are other characters")
    return pixels.reshape(-1, 28, 28).astype(bool)


def _read_labels(folder: Path) -> dict[str, Labels]:
    """Labels were not published with this set; they come from a file of derived ones, where there is one."""
    if not (folder / LABELS).is_file():
        return {}
    with np.load(folder / LABELS) as stored:
        return {split: stored[f"{split}_label"] for split in SPLITS}


def _download(folder: Path, progress: Progress | None) -> dict[str, Images]:
    """Fetch the originals (110 MB) and keep them packed (2.3 MB)."""
    images: dict[str, Images] = {}
    for split, text in zip(SPLITS, fetch([ORIGINALS[split] for split in SPLITS], progress), strict=True):
        images[split] = parse_amat(text, where=ORIGINALS[split].url)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{os.getpid()}.{PACKED}"
    np.savez_compressed(
        draft, train=pack(images["train"]), valid=pack(images["valid"]), test=pack(images["test"])
    )
    draft.replace(folder / PACKED)
    return images
