"""What codes are like: how many say something, and what a linear probe reads from them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.statistics.latents import ACTIVE_VARIANCE, between_variance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Float64 = NDArray[np.float64]


class CodeSummary(NamedTuple):
    """nonzero: mean number of latents of an image that are not exactly 0, which sparse codes alone have fewer
    of than there are. active_units: whose posterior mean varies over images by more than 0.01 (Burda et al.,
    2016). probe_accuracy: share of test images whose class a logistic regression on training codes tells."""

    nonzero: float
    active_units: int
    probe_accuracy: float


def codes(
    train: Float64, train_labels: NDArray[np.int64], test: Float64, test_labels: NDArray[np.int64]
) -> CodeSummary:
    """Of draws from the posteriors of training images, (N, Z), and of K for each test image, (M, K, Z).

    The probe sees one draw of each image.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    probe.fit(train, train_labels)
    return CodeSummary(
        nonzero=float((test != 0).sum(-1).mean()),
        active_units=int((between_variance(test) > ACTIVE_VARIANCE).sum()),
        probe_accuracy=float(probe.score(test[:, 0], test_labels)),
    )
