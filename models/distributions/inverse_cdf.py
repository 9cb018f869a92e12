"""Uniform numbers to draws of laws of few outcomes, by the inverse of their CDF.

Each result is a function of its own u and parameters alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def members(probs: Tensor, u: Tensor) -> Tensor:
    """Int64 of u's shape (K, ...): which of C outcomes, with probabilities probs (..., C)."""
    # The last outcome takes whatever rounding leaves above the CDF.
    cdf = probs.double().cumsum(-1)[..., :-1]
    wanted, restore = by_law(u, cdf.dim() - 1)
    return restore(search(cdf.expand(*wanted.shape[:-1], cdf.shape[-1]), wanted))


def pick(parameter: Tensor, member: Tensor) -> Tensor:
    """Of a parameter (..., C) of C laws, that of the chosen one. (...) broadcasts to member's shape."""
    wide = parameter.expand(*member.shape, parameter.shape[-1])
    return wide.gather(-1, member[..., None]).squeeze(-1)


def by_law(u: Tensor, n_axes: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """u (K, ...) with those numbers last that share a law of n_axes axes; and the way back.

    A law is searched once for all K samples of it, unless each sample has its own.
    """
    if n_axes < u.dim():
        return u.movedim(0, -1), lambda found: found.movedim(-1, 0)
    return u[..., None], lambda found: found.squeeze(-1)


def search(cdf: Tensor, u: Tensor) -> Tensor:
    """How many of cdf (..., C) are at most u (..., S)."""
    return torch.searchsorted(cdf.contiguous(), u.contiguous(), right=True)
