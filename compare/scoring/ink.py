"""How x is shown, whatever it is: as ink on paper, from 0 to 1, in two axes and perhaps three colours."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# A row of numbers is drawn as a strip, so many times as long as high.
STRIP = 6
_COLOURS = 3


@dataclass(frozen=True)
class Ink:
    """From x (..., *x) to ink (..., H, W), or (..., H, W, 3) for three colours.

    Images of grey or of 0 and 1 are ink as they stand. Colours are light: their ink is what is missing from
    white. Rows of numbers become strips, and more axes than two are laid out below one another.
    """

    x_shape: tuple[int, ...]
    low: float
    high: float

    @classmethod
    def of(cls, x: Array, levels: int) -> Self:
        """Of x (N, ...): binary, of so many levels, or, where levels is 0, between the least and the most."""
        if x.dtype == np.bool_ and not levels:
            return cls(x.shape[1:], 0.0, 1.0)
        if levels:
            return cls(x.shape[1:], 0.0, levels - 1.0)
        return cls(x.shape[1:], float(x.min()), max(float(x.max()), float(x.min()) + 1e-6))

    def __call__(self, x: Array) -> Array:
        """x with any axes before its own."""
        lead = x.shape[: x.ndim - len(self.x_shape)]
        if (self.low, self.high) == (0.0, 1.0) and len(self.x_shape) == 2:
            return x
        ink: Array = np.clip((x.astype(np.float32) - self.low) / (self.high - self.low), 0.0, 1.0)
        if self._colour_axis is not None:
            light: Array = np.moveaxis(ink, len(lead) + self._colour_axis, -1)
            return 1 - light
        if len(self.x_shape) == 1:
            strip: Array = np.repeat(ink[..., None, :], max(1, self.x_shape[0] // STRIP), axis=-2)
            return strip
        return np.asarray(ink.reshape(*lead, -1, self.x_shape[-1]))

    @property
    def _colour_axis(self) -> int | None:
        if len(self.x_shape) != 3:
            return None
        return next((axis for axis in (0, 2) if self.x_shape[axis] == _COLOURS), None)
