"""What images cost without any model: a yardstick beside the best R + D."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.stretches import stretches


def independent_pixels_nats(images: NDArray[Any]) -> float:
    """Nats per binary image (N, H, W) if pixels were independent, each on as often as it is in these images.

    The least R + D of a model without a code whose decoder is a product over pixels: one that needs more has
    learnt no more than where the ink is. Images are read a stretch at a time.
    """
    counts = np.zeros(images.shape[1:])
    for rows in stretches(len(images)):
        counts += np.count_nonzero(images[rows], axis=0)
    on = counts / len(images)
    shares = np.stack([on, 1 - on])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return float(-(shares * logs).sum())
