"""Noise that belongs to the example.

A counter-based generator (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011) turns (request seed, example id, sample index, purpose, position) into a random
word. Nothing is remembered between calls, so a row's noise does not depend on its batch, its order
or the device; two models given the same keys share their noise.

    key      seed                                  64 bits
    counter  example id                            64 bits
             position // 4                         32 bits
             purpose, sample index             8 + 24 bits
"""

from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from rdserve.data import philox as philox_numpy
from rdserve.data.philox import MAX_SAMPLES, N_ROUNDS
from torch import Tensor

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


class Purpose(IntEnum):
    """What the noise is for. Two purposes never share a word.

    A law made of parts is drawn from with two: its purpose, and that of the choice among its parts.
    """

    POSTERIOR = 0
    PRIOR = 1
    POSTERIOR_CHOICE = 2
    PIXELS = 3
    PRIOR_CHOICE = 4
    PIXELS_CHOICE = 5


_CHOICES = {
    Purpose.POSTERIOR: Purpose.POSTERIOR_CHOICE,
    Purpose.PRIOR: Purpose.PRIOR_CHOICE,
    Purpose.PIXELS: Purpose.PIXELS_CHOICE,
}


class NoiseKeys(NamedTuple):
    """Whose noise: 64-bit patterns held as int64, one per row."""

    seed: Tensor  # (B,) int64
    example: Tensor  # (B,) int64


class Noise(NamedTuple):
    """The noise of some rows for one purpose."""

    keys: NoiseKeys
    purpose: Purpose

    def uniform(self, n_samples: int, size: int) -> Tensor:
        """(K, B, size) float64, uniform on (0, 1), on the keys' device."""
        seed, example = self.keys
        if seed.device.type == "cpu":
            # The same numbers, at a third of torch's cost where there are few.
            return torch.from_numpy(
                philox_numpy.uniform(
                    seed.numpy().view(np.uint64),
                    example.numpy().view(np.uint64),
                    purpose=self.purpose,
                    n_samples=n_samples,
                    size=size,
                )
            )
        # In float32 the highest 128 words would round up to 1, and their normals to infinity.
        return (self.words(n_samples, size).double() + 0.5) * 2.0**-32

    def normal(self, n_samples: int, size: int) -> Tensor:
        """(K, B, size) float32, standard normal. The inverse CDF in float64 is the same everywhere."""
        return torch.special.ndtri(self.uniform(n_samples, size)).float()

    def about(self, purpose: Purpose) -> "Noise":
        """The same rows' noise for another purpose."""
        return Noise(self.keys, purpose)

    @property
    def choice(self) -> "Noise":
        """Chooses among the parts of a law that this noise is for: spike or slab, member of a mixture.

        Raises:
            ValueError: this is the noise of a choice.
        """
        if self.purpose not in _CHOICES:
            raise ValueError(f"no choice among parts belongs to {self.purpose.name}")
        return Noise(self.keys, _CHOICES[self.purpose])

    def words(self, n_samples: int, size: int) -> Tensor:
        """(K, B, size) int64, each in [0, 2**32), on the keys' device.

        Raises:
            ValueError: n_samples is not 1 to MAX_SAMPLES.
        """
        if not 0 < n_samples <= MAX_SAMPLES:
            raise ValueError(f"n_samples must be 1 to {MAX_SAMPLES}, got {n_samples}")
        seed, example = self.keys
        device, n_rows, n_blocks = seed.device, len(seed), -(-size // 4)
        shape = (n_samples, n_rows, n_blocks)
        sample = torch.arange(n_samples, device=device) | (int(self.purpose) << 24)
        even = torch.stack(  # counter words 0 and 2
            [
                _low(example)[None, :, None].expand(shape),
                torch.arange(n_blocks, device=device).expand(shape),
            ]
        )
        odd = torch.stack(  # counter words 1 and 3
            [_high(example)[None, :, None].expand(shape), sample[:, None, None].expand(shape)]
        )
        key = torch.stack([_low(seed), _high(seed)])[:, None, :, None]
        even, odd = philox(even, odd, key)
        words = torch.stack([even[0], odd[0], even[1], odd[1]], -1)
        return words.reshape(n_samples, n_rows, 4 * n_blocks)[..., :size]


class RememberedNoise(Noise):
    """The same noise, each number computed once: for a law that is drawn from again and again."""

    def uniform(self, n_samples: int, size: int) -> Tensor:
        """As `Noise.uniform`, and not to be written to."""
        known: dict[tuple[int, int], Tensor] = self.__dict__.setdefault("known", {})
        if (n_samples, size) not in known:
            known[n_samples, size] = super().uniform(n_samples, size)
        return known[n_samples, size]

    @cached_property
    def choice(self) -> "RememberedNoise":
        return RememberedNoise(*super().choice)


def philox(even: Tensor, odd: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Ten rounds of Philox4x32.

    even, odd: (2, ...) int64 holding counter words (0, 2) and (1, 3); key: (2, ...) broadcastable.
    Returns words (0, 2) and (1, 3) of the output, each in [0, 2**32).
    """
    ones = [1] * (even.dim() - 1)
    multiplier = torch.tensor(_MULTIPLIERS, device=even.device).view(2, *ones)
    weyl = torch.tensor(_WEYL, device=even.device).view(2, *ones)
    for _ in range(N_ROUNDS):
        # int64 wraps modulo 2**64, so both halves of the 64-bit product come out right.
        product = even * multiplier
        even, odd = _high(product).flip(0) ^ odd ^ key, _low(product).flip(0)
        key = _low(key + weyl)
    return even, odd


def _low(x: Tensor) -> Tensor:
    return x & _WORD


def _high(x: Tensor) -> Tensor:
    return (x >> 32) & _WORD
