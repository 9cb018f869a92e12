import subprocess
import sys

import numpy as np
from rdserve.data import SPLITS, load
from rdserve.data.digits import THRESHOLD
from sklearn.datasets import load_digits

from tools.make_digits import make


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


def test_grey_digits_are_the_same_images_in_the_same_order() -> None:
    for split in SPLITS:
        grey, binary = load("digits-grey", split=split), load("digits", split=split)
        assert (grey.kind, grey.levels, grey.shape, int(grey.x.max())) == ("levels", 17, (8, 8), 16)
        np.testing.assert_array_equal(grey.x >= THRESHOLD, binary.images)
        np.testing.assert_array_equal(grey.labels, binary.labels)


def test_the_split_does_not_move() -> None:
    """Published numbers hang on this hash; a new one is a new data set."""
    sizes = [len(load("digits", split=split).images) for split in SPLITS]
    assert sizes == [1197, 200, 400]
    assert load("digits", split="test").sha256 == (
        "d13243a4e576150754e372a041d81da4f18ed02c7dfaa0e83095648f0ea5263a"
    )
    assert load("digits-grey", split="test").sha256 == (
        "92f91f69d51e89a2503e2fab3f7fa2ce21d652cfb7cf83d4b2235be0c33bb63c"
    )


def test_loading_needs_numpy_alone() -> None:
    code = (
        "import sys; from rdserve.data import load; load('digits', split='train')\n"
        "others = {'sklearn', 'scipy', 'torch', 'grpc', 'pydantic', 'PIL', 'pyarrow'}\n"
        "print(sorted(others & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
