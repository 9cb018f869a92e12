"""The substitute for Burda et al.'s Omniglot, where it is at hand."""

import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from rdserve.data import DataError, load, omniglot
from shared_data import SHARED, needs_omniglot

from tools import make_omniglot

DRAWINGS = "omniglot_105x105_packed.npz"


@needs_omniglot
def test_sizes_labels_and_what_it_is_not() -> None:
    splits = {split: load("omniglot", split=split, root=SHARED) for split in omniglot.SIZES}
    assert {split: data.images.shape for split, data in splits.items()} == {
        split: (n, 28, 28) for split, n in omniglot.SIZES.items()
    }
    assert {data.sha256 for data in splits.values()} == {omniglot.SHA256}
    labels = splits["test"].labels
    assert labels is not None
    assert set(labels) == set(range(50))
    assert "another split than Burda et al. (2016)" in splits["test"].binarisation


@needs_omniglot
def test_it_is_made_from_lakes_archives(tmp_path: Path) -> None:
    """From some of the drawings, the same rows as the whole file has."""
    assert SHARED is not None
    with np.load(SHARED / DRAWINGS) as stored, np.load(SHARED / omniglot.FILE) as made:
        chosen = np.flatnonzero(np.arange(len(stored["images"])) % 3000 < 2)
        ink = np.unpackbits(stored["images"][chosen], axis=1, count=105 * 105).reshape(-1, 105, 105)
        names, evaluation = (
            stored["alphabet_names"][stored["alphabet"][chosen]],
            stored["is_evaluation"][chosen],
        )
        expected = made["images"][chosen]
    archives = [tmp_path / f"images_{part}.zip" for part in ("background", "evaluation")]
    for archive, part in zip(archives, (False, True), strict=True):
        with ZipFile(archive, "w") as file:
            for i in reversed(np.flatnonzero(evaluation == part)):
                picture = io.BytesIO()
                Image.fromarray((1 - ink[i]) * np.uint8(255)).convert("1").save(picture, "png")
                file.writestr(f"{archive.stem}/{names[i]}/character01/{i:04}_01.png", picture.getvalue())
    make_omniglot.main(*map(str, archives), str(tmp_path))
    with np.load(tmp_path / omniglot.FILE) as again:
        np.testing.assert_array_equal(again["images"], expected)
        np.testing.assert_array_equal(again["alphabet_names"][again["alphabet"]], names)


def test_a_folder_without_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"does not hold {omniglot.FILE}; docs/data\.md says how it is made"):
        load("omniglot", split="test", root=tmp_path)


def test_other_drawings_are_refused(tmp_path: Path) -> None:
    blank = np.zeros((32_460, 1, 1), np.uint8)
    np.savez(tmp_path / omniglot.FILE, images=blank, alphabet=np.zeros(len(blank), np.uint8))
    with pytest.raises(DataError, match=f"hashes to {omniglot.SHA256}, that file to .* make it again"):
        load("omniglot", split="test", root=tmp_path)
