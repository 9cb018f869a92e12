import subprocess
import sys

import numpy as np
from rdserve.data import SPLITS, load
from sklearn.datasets import load_digits

from tools.make_digits import THRESHOLD, make


def test_the_embedded_digits_are_scikit_learns() -> None:
    grey, labels = load_digits(return_X_y=True)
    made = make()
    seen = []
    for split in SPLITS:
        data, index = load("digits", split=split), made[f"{split}_index"]
        assert data.labels is not None
        np.testing.assert_array_equal(data.images.reshape(-1, 64), grey[index] >= THRESHOLD)
        np.testing.assert_array_equal(data.labels, labels[index])
        seen += index.tolist()
    assert sorted(seen) == list(range(1797)), "each image is in exactly one split"


def test_the_split_does_not_move() -> None:
    """Published numbers hang on this hash; a new one is a new data set."""
    sizes = [len(load("digits", split=split).images) for split in SPLITS]
    assert sizes == [1197, 200, 400]
    assert load("digits", split="test").sha256 == (
        "d13243a4e576150754e372a041d81da4f18ed02c7dfaa0e83095648f0ea5263a"
    )


def test_loading_needs_numpy_alone() -> None:
    code = (
        "import sys; from rdserve.data import load; load('digits', split='train')\n"
        "print(sorted({'sklearn', 'scipy', 'torch', 'grpc', 'pydantic'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
