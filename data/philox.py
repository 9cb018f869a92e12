"""Philox4x32-10 (Salmon et al., SC 2011) in numpy: the very words of `rdserve.models.distributions.noise`.

key      seed                                  64 bits
counter  example id                            64 bits
         position // 4                         32 bits
         purpose, sample index             8 + 24 bits
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_ROUNDS = 10
MAX_SAMPLES = 2**24
_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
# Of counter words 0 and 2.
_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
# What is added to the two words of the key, in each round.
_WEYL = np.arange(N_ROUNDS, dtype=np.uint64)[:, None] * np.array([0x9E3779B9, 0xBB67AE85], np.uint64)


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
    ids = np.asarray(example_ids, np.uint64)
    n_rows, n_blocks = len(ids), -(-size // 4)
    even = np.empty((2, n_samples, n_rows, n_blocks), np.uint64)  # counter words 0 and 2
    odd = np.empty_like(even)  # and 1 and 3
    even[0], even[1] = (ids & _WORD)[:, None], np.arange(n_blocks, dtype=np.uint64)
    odd[0] = (ids >> _HALF)[:, None]
    odd[1] = (np.arange(n_samples, dtype=np.uint64) | np.uint64(purpose << 24))[:, None, None]
    key = np.broadcast_to(np.asarray(seed, np.uint64), n_rows)
    even, odd = philox(even, odd, np.stack([key & _WORD, key >> _HALF])[:, None, :, None])
    found = np.empty((n_samples, n_rows, n_blocks, 4), np.uint32)
    found[..., 0], found[..., 1], found[..., 2], found[..., 3] = even[0], odd[0], even[1], odd[1]
    return found.reshape(n_samples, n_rows, 4 * n_blocks)[..., :size]


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


def philox(
    even: NDArray[np.uint64], odd: NDArray[np.uint64], key: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Ten rounds. even, odd: (2, ...) counter words (0, 2) and (1, 3); key: (2, ...), broadcastable.

    Returns words (0, 2) and (1, 3) of the output, each in [0, 2**32). even and odd are written over.
    """
    ones = (1,) * (even.ndim - 1)
    multipliers, product = _MULTIPLIERS.reshape(2, *ones), np.empty_like(even)
    for key_of_round in (key + _WEYL.reshape(N_ROUNDS, 2, *ones)) & _WORD:
        # In place, for memory costs more than arithmetic. A product of 32-bit words does not wrap.
        np.multiply(even, multipliers, out=product)
        np.right_shift(product, _HALF, out=even)
        odd ^= even[::-1]
        odd ^= key_of_round
        product &= _WORD
        even, odd, product = odd, product[::-1], even
    return even, odd
