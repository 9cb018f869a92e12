"""Philox4x32-10 (Salmon et al., SC 2011) in numpy: the very words of `rdserve.models.distributions.noise`.

key      seed                                  64 bits
counter  example id                            64 bits
         position // 4                         32 bits
         purpose, sample index             8 + 24 bits
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_ROUNDS = 10
MAX_SAMPLES = 2**24
_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


class DataPurpose(IntEnum):
    """What data are drawn for. A model's purposes are below 128: no model shares a word with its data."""

    BERNOULLI_STATIC = 128
    DEQUANTIZE_UNIFORM = 129


def words(
    seed: ArrayLike, example_ids: ArrayLike, *, purpose: int, n_samples: int, size: int
) -> NDArray[np.uint32]:
    """(K, B, size) random words.

    seed: 64-bit pattern, one or (B,), in [0, 2**64). example_ids: (B,), likewise.

    Raises:
        ValueError: n_samples is not 1 to MAX_SAMPLES.
    """
    if not 0 < n_samples <= MAX_SAMPLES:
        raise ValueError(f"n_samples must be 1 to {MAX_SAMPLES}, got {n_samples}")
    ids = np.asarray(example_ids, np.uint64)[None, :, None]
    key = np.broadcast_to(np.asarray(seed, np.uint64), ids.shape[1:2])[None, :, None]
    n_blocks = -(-size // 4)
    shape = (n_samples, ids.shape[1], n_blocks)
    sample = np.arange(n_samples, dtype=np.uint64) | np.uint64(purpose << 24)
    counter = (
        np.broadcast_to(ids & _WORD, shape),
        np.broadcast_to(ids >> _HALF, shape),
        np.broadcast_to(np.arange(n_blocks, dtype=np.uint64), shape),
        np.broadcast_to(sample[:, None, None], shape),
    )
    found = np.stack(_rounds(counter, (key & _WORD, key >> _HALF)), axis=-1).astype(np.uint32)
    return found.reshape(n_samples, ids.shape[1], 4 * n_blocks)[..., :size]


def uniform(
    seed: ArrayLike, example_ids: ArrayLike, *, purpose: int, n_samples: int, size: int
) -> NDArray[np.float64]:
    """(K, B, size), uniform on (0, 1): the middles of 2**32 equal steps. Arguments as those of `words`."""
    found: NDArray[np.float64] = words(
        seed, example_ids, purpose=purpose, n_samples=n_samples, size=size
    ).astype(np.float64)
    found += 0.5
    found *= 2.0**-32
    return found


_Words = NDArray[np.uint64]


def _rounds(
    counter: tuple[_Words, _Words, _Words, _Words], key: tuple[_Words, _Words]
) -> tuple[Any, Any, Any, Any]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(N_ROUNDS):
        # Products of two 32-bit words: neither wraps.
        p0, p2 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (p2 >> _HALF) ^ c1 ^ k0, p2 & _WORD
        c2, c3 = (p0 >> _HALF) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3
