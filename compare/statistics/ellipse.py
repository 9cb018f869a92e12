"""Where a model's point (R, D) lies, with a given confidence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.statistics.intervals import critical

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipse:
    """centre (R, D) and semi-axes, nats; angle of the first axis from the R axis, radians."""

    centre: tuple[float, float]
    semi_axes: tuple[float, float]
    angle: float

    def outline(self, n: int = 72) -> Float64:
        """(n, 2): points around it, evenly spaced in turn."""
        turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
        along = np.array(
            [[np.cos(self.angle), np.sin(self.angle)], [-np.sin(self.angle), np.cos(self.angle)]]
        )
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return np.asarray(self.centre + (circle * self.semi_axes) @ along, np.float64)


def confidence_ellipse(
    rate: Float64, distortion: Float64, *, level: float = 0.95, n: float | None = None
) -> Ellipse | None:
    """Region of the mean of per-example rates and distortions (N,), by Hotelling's T squared.

    R and D of an example are correlated, so the region leans. None for two independent examples or fewer.
    n: how many independent ones the N are worth, if not N.

    Source: Johnson and Wichern, Applied Multivariate Statistical Analysis, section 5.4.
    """
    worth = n or len(rate)
    if worth <= 2:
        return None
    values, vectors = np.linalg.eigh(np.cov(rate, distortion) / len(rate))
    major, minor = critical(level, worth, dimensions=2) * np.sqrt(np.maximum(values[::-1], 0.0))
    angle = float(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return Ellipse((float(rate.mean()), float(distortion.mean())), (float(major), float(minor)), angle)
