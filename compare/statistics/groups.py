"""Examples that depend on one another: of one writer, patient or film. Groups of them are then independent.

With S_g the sum over group g of value minus mean, the mean of N values has the variance c sum S_g^2 / N^2
(cluster-robust: K.-Y. Liang and S. L. Zeger, Biometrika 73, 1986). That is the ordinary squared error of one
number per group, mean + sqrt(c (G - 1) / G) G S_g / N, and these G numbers take the examples' place wherever
an error is computed. Groups of unequal size tell less than as many of one size: c = E / (E - 1), and t has
E - 1 degrees of freedom, with the effective number of groups E = N^2 / sum n_g^2 (A. V. Carter, K. T.
Schnepel and D. G. Steigerwald, Review of Economics and Statistics 99, 2017): all of them if of one size.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


def by_group(values: ArrayLike, groups: NDArray[Any] | None) -> Float64:
    """(..., G) of per-example values (..., N): the same mean, with the standard error of dependent examples.

    Linear in the values. groups: (N,) ids; None: every example by itself, values as they are.
    """
    found = np.asarray(values, np.float64)
    if groups is None:
        return found
    codes, count = coded(groups)
    mean = found.mean(-1, keepdims=True)
    rows = (found - mean).reshape(-1, found.shape[-1])
    sums = np.stack([np.bincount(codes, row, count) for row in rows]).reshape(*found.shape[:-1], count)
    few, unequal = count / max(count - 1, 1), effective(groups)
    wider = (unequal / (unequal - 1) / few) ** 0.5 if unequal > 1 else 1.0
    return np.asarray(mean + sums * (wider * count / found.shape[-1]))


def coded(groups: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """(N,): groups numbered from 0 in the order of their ids; and how many."""
    ids, codes = np.unique(groups, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(ids)


def effective(groups: NDArray[Any]) -> float:
    """How many groups of one size would tell as much: N^2 / sum n_g^2, at most as many as there are."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def independent(n: int, groups: NDArray[Any] | None) -> float:
    """How many independent examples there are among n: all, or the effective number of groups."""
    return float(n) if groups is None else effective(groups)
