"""Uniform numbers to draws of discrete laws: the smallest value whose CDF exceeds u.

Each result is a function of its own u and parameters alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Counts that are looked at together, and the largest that a search goes to.
BLOCK = 2**19
MAX_COUNT = 2**20
# -log of half a word of noise: u is never nearer to 0 or 1.
_TAIL = 23.0


class DrawTooLarge(ValueError):
    """A draw that would take more steps than a service can spend on it."""


def members(probs: Tensor, u: Tensor) -> Tensor:
    """Int64 of u's shape (K, ...): which of C outcomes, with probabilities probs (..., C)."""
    # The last outcome takes whatever rounding leaves above the CDF.
    cdf = probs.double().cumsum(-1)[..., :-1]
    if cdf.dim() > u.dim():
        cdf = cdf.expand(*u.shape, cdf.shape[-1]).contiguous()
        return torch.searchsorted(cdf, u[..., None].contiguous(), right=True).squeeze(-1)
    # A search per law for all K samples of it, rather than a copy of the law per sample.
    cdf = cdf.expand(*u.shape[1:], cdf.shape[-1]).contiguous()
    return torch.searchsorted(cdf, u.movedim(0, -1).contiguous(), right=True).movedim(-1, 0)


def pick(parameter: Tensor, member: Tensor) -> Tensor:
    """Of a parameter (..., C) of C laws, that of the chosen one. (...) broadcasts to member's shape."""
    wide = parameter.expand(*member.shape, parameter.shape[-1])
    return wide.gather(-1, member[..., None]).squeeze(-1)


def first_count(
    log_mass: Callable[..., Tensor], parameters: tuple[Tensor, ...], u: Tensor, top: int = MAX_COUNT
) -> Tensor:
    """Int64 of u's shape, which the parameters broadcast to: the first count n with P(X <= n) > u.

    log_mass: (n, *parameters) -> log P(X = n), nats. top: the largest count; it takes what rounding leaves.

    Raises:
        DrawTooLarge: past MAX_COUNT, which is below top.
    """
    flat = torch.stack([each.double() for each in torch.broadcast_tensors(u, *parameters)]).flatten(1)
    found = torch.full_like(flat[0], top, dtype=torch.int64)
    open_, below, start, width = (
        torch.arange(flat.shape[1], device=u.device),
        torch.zeros_like(flat[0]),
        0,
        16,
    )
    while len(open_) and start < top:
        if start >= MAX_COUNT:
            raise DrawTooLarge(
                f"a count above {MAX_COUNT} was to be drawn; such counts are scored, not drawn"
            )
        counts = torch.arange(start, min(start + width, top), device=u.device)
        reached = torch.empty_like(open_)
        total = torch.empty_like(below)
        for some in torch.arange(len(open_), device=u.device).split(max(1, BLOCK // width)):
            mass = log_mass(counts, *(each[open_[some], None] for each in flat[1:])).exp()
            cdf = below[some, None] + mass.cumsum(-1)
            reached[some] = (cdf <= flat[0][open_[some], None]).sum(-1)
            total[some] = cdf[:, -1]
        done = reached < len(counts)
        found[open_[done]] = start + reached[done]
        open_, below = open_[~done], total[~done]
        start, width = start + len(counts), min(2 * width, BLOCK)
    return found.view(u.shape)


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
