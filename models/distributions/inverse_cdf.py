"""Uniform numbers to draws of discrete laws: the smallest value whose CDF exceeds u.

Each result is a function of its own u and parameters alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# A search looks at blocks of counts, each twice as long as the last, and at so many terms at once.
FIRST_BLOCK = 16
TERMS = 2**19
MAX_COUNT = 2**18
# Of a sum of probabilities.
ROUNDING = 1e-13
# -log of half a word of noise: u is never nearer to 0 or 1.
_TAIL = 23.0


class DrawTooLarge(ValueError):
    """A draw that would take more steps than a service can spend on it."""


def members(probs: Tensor, u: Tensor) -> Tensor:
    """Int64 of u's shape (K, ...): which of C outcomes, with probabilities probs (..., C)."""
    # The last outcome takes whatever rounding leaves above the CDF.
    cdf = probs.double().cumsum(-1)[..., :-1]
    wanted, restore = _by_law(u, cdf.dim() - 1)
    return restore(_search(cdf.expand(*wanted.shape[:-1], cdf.shape[-1]), wanted))


def pick(parameter: Tensor, member: Tensor) -> Tensor:
    """Of a parameter (..., C) of C laws, that of the chosen one. (...) broadcasts to member's shape."""
    wide = parameter.expand(*member.shape, parameter.shape[-1])
    return wide.gather(-1, member[..., None]).squeeze(-1)


def first_count(
    log_mass: Callable[..., Tensor], parameters: tuple[Tensor, ...], u: Tensor, top: int | None = None
) -> Tensor:
    """Int64 of u's shape (K, ...): the first count n with P(X <= n) > u.

    log_mass: (n, *parameters) -> log P(X = n), nats; elementwise. top: the largest count, if there is one.

    Raises:
        DrawTooLarge: a count that has no top, past MAX_COUNT.
    """
    wanted, restore = _by_law(u, max(each.dim() for each in parameters))
    laws = [each.double().expand(wanted.shape[:-1]).flatten() for each in parameters]
    flat = wanted.reshape(len(laws[0]), -1)
    found = torch.full(flat.shape, -1, device=u.device)
    open_ = torch.arange(len(flat), device=u.device)
    below, start, width = torch.zeros_like(laws[0]), 0, FIRST_BLOCK
    while len(open_) and start != top:
        if start > MAX_COUNT:
            raise DrawTooLarge(f"a count above {MAX_COUNT} was due; such counts are scored, not drawn")
        end = start + width if top is None else min(start + width, top)
        counts = torch.arange(start, end, device=u.device)
        for some in open_.split(max(1, TERMS // width)):
            mass = log_mass(counts, *(law[some, None] for law in laws)).exp()
            cdf = below[some, None] + mass.cumsum(-1)
            passed = _search(cdf, flat[some])
            # Past the middle of a law without a top, a block of no weight is followed by none.
            over = (cdf[:, -1] - below[some] < ROUNDING) & (cdf[:, -1] > 0.5) & (top is None)
            here = (found[some] < 0) & ((passed < len(counts)) | over[:, None])
            found[some] = torch.where(here, start + passed, found[some])
            below[some] = cdf[:, -1]
        open_ = open_[(found[open_] < 0).any(-1)]
        start, width = end, min(2 * width, TERMS)
    return restore(torch.where(found < 0, top or 0, found).view(wanted.shape))


def poisson(rate: Tensor, u: Tensor) -> Tensor:
    """Int64 of u's shape, which rate broadcasts to: Poisson counts, by halving an interval sure to hold each.

    P(X <= n) is the regularised upper incomplete gamma function of n + 1 at rate.
    """
    rate = rate.double().expand(u.shape)
    # Bernstein's bounds on the two tails.
    low = (rate - torch.sqrt(2 * _TAIL * rate)).floor().clamp_min(0) - 1
    high = (rate + _TAIL / 3 + torch.sqrt((_TAIL / 3) ** 2 + 2 * _TAIL * rate)).ceil()
    while bool((high - low > 1).any()):
        middle = torch.floor((low + high) / 2)
        above = torch.special.gammaincc(middle + 1, rate) > u
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high.long()


def _by_law(u: Tensor, n_axes: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """u (K, ...) with those numbers last that share a law of n_axes axes; and the way back.

    A law is searched once for all K samples of it, unless each sample has its own.
    """
    if n_axes < u.dim():
        return u.movedim(0, -1), lambda found: found.movedim(-1, 0)
    return u[..., None], lambda found: found.squeeze(-1)


def _search(cdf: Tensor, u: Tensor) -> Tensor:
    """How many of cdf (..., C) are at most u (..., S)."""
    return torch.searchsorted(cdf.contiguous(), u.contiguous(), right=True)
