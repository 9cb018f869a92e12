from itertools import combinations

import numpy as np
from rdserve.data import SPLITS, load
from sklearn.datasets import load_sample_image

from tools.make_patches import PHOTOGRAPHS, SIDE, make


def test_the_embedded_patches_are_cut_from_the_photographs() -> None:
    made = make()
    photographs = [load_sample_image(name) for name in PHOTOGRAPHS]
    for split in SPLITS:
        data = load("patches", split=split)
        assert (data.kind, data.levels, data.shape) == ("levels", 256, (3, 32, 32))
        assert data.labels is not None
        for x, label, (row, column) in zip(data.x, data.labels, made[f"{split}_place"], strict=True):
            top, left = int(row) * SIDE, int(column) * SIDE  # type: ignore[call-overload]
            cut = photographs[label][top : top + SIDE, left : left + SIDE]
            np.testing.assert_array_equal(x, cut.transpose(2, 0, 1))


def test_no_patch_lies_beside_one_of_another_split() -> None:
    made = make()
    for one, other in combinations(SPLITS, 2):
        for label in range(len(PHOTOGRAPHS)):
            here, there = (
                made[f"{split}_place"][made[f"{split}_label"] == label].astype(int) for split in (one, other)
            )
            assert np.abs(here[:, None, 1] - there[None, :, 1]).min() > 1


def test_the_split_does_not_move() -> None:
    assert [len(load("patches", split=split).x) for split in SPLITS] == [312, 52, 104]
    assert load("patches", split="test").sha256 == (
        "a4823b16bf591b0a40813f32c908e234338f451e06c6b7a8f0691ba2eba0b5c1"
    )
