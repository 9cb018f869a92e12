"""Uniform numbers to counts: the first whose CDF exceeds u.

Each result is a function of its own u and parameters alone. A search adds up the masses of all counts before
it, and laws that reach far have a formula.
"""

from collections.abc import Callable

import torch
from rdserve.models.distributions.inverse_cdf import by_law, search
from torch import Tensor
from torch.distributions import NegativeBinomial, Poisson

# A search looks at blocks of counts, each twice as long as the last, and at so many terms at once.
FIRST_BLOCK = 16
TERMS = 2**19
# Of a sum of probabilities.
ROUNDING = 1e-13
# How far a negative binomial law may reach and still be searched.
FAR = 2.0**14
# Logits of an event that does not happen.
NEVER = -700.0
# -log of less than half a word of noise: u is never nearer to 0 or 1.
TAIL = 23.0
# Of an interval, until what is left is rounding.
HALVINGS = 56
# Rates and shapes above which the expansions err by less than 1e-8 in the CDF.
LARGE = 1e3


def first_count(
    log_mass: Callable[..., Tensor], parameters: tuple[Tensor, ...], u: Tensor, top: int | None = None
) -> Tensor:
    """Int64 of u's shape (K, ...): the first count n with P(X <= n) > u.

    log_mass: (n, *parameters) -> log P(X = n), nats; elementwise. top: the largest count, if there is one.
    """
    wanted, restore = by_law(u, max(each.dim() for each in parameters))
    laws = [each.double().expand(wanted.shape[:-1]).flatten() for each in parameters]
    flat = wanted.reshape(len(laws[0]), -1)
    found = torch.full(flat.shape, -1, device=u.device)
    open_ = torch.arange(len(flat), device=u.device)
    below, start, width = torch.zeros_like(laws[0]), 0, FIRST_BLOCK
    while len(open_) and start != top:
        end = start + width if top is None else min(start + width, top)
        # Of whole numbers torch would compute lgamma in float32.
        counts = torch.arange(start, end, device=u.device, dtype=torch.float64)
        for some in open_.split(max(1, TERMS // width)):
            mass = log_mass(counts, *(law[some, None] for law in laws)).exp()
            cdf = below[some, None] + mass.cumsum(-1)
            passed = search(cdf, flat[some])
            # Past the middle of a law without a top, a block of no weight is followed by none. NaN ends it.
            over = ~((cdf[:, -1] - below[some] >= ROUNDING) | (cdf[:, -1] <= 0.5)) & (top is None)
            here = (found[some] < 0) & ((passed < len(counts)) | over[:, None])
            found[some] = torch.where(here, start + passed, found[some])
            below[some] = cdf[:, -1]
        open_ = open_[(found[open_] < 0).any(-1)]
        start, width = end, min(2 * width, TERMS)
    return restore(torch.where(found < 0, top or 0, found).view(wanted.shape))


def poisson(rate: Tensor, u: Tensor) -> Tensor:
    """Whole numbers in float64, of u's shape, which rate broadcasts to.

    Where the rate is large, the floor of an expansion of the CDF's inverse in the normal quantile (Giles,
    Algorithm 955, ACM TOMS 2016).
    """
    rate = rate.double()
    found = first_count(_poisson, (rate.where(rate <= LARGE, 0),), u).double()
    z, root = torch.special.ndtri(u), rate.sqrt()
    smooth = rate + root * z + 1 / 3 + z**2 / 6 - (z / 36 + z**3 / 72) / root
    smooth = smooth + (-8 / 405 + 7 * z**2 / 810 + z**4 / 270) / rate
    return torch.where(rate > LARGE, smooth.floor(), found)


def gamma(shape: Tensor, u: Tensor) -> Tensor:
    """float64, of the shape of both: the quantile of a Gamma law of scale 1.

    Where the shape is large, by its expansion in the normal quantile (Cornish and Fisher, 1938).
    """
    near, z = shape.clamp_max(LARGE), torch.special.ndtri(u)
    # Halved in the logarithm, for with a small shape it may be any power of ten.
    low, high = torch.full_like(u, 1e-300).log(), (near + TAIL + torch.sqrt(2 * TAIL * near)).log()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = torch.special.gammainc(near, middle.exp()) > u
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    root = shape.sqrt()
    smooth = shape + root * z + (z**2 - 1) / 3 + (z**3 - 7 * z) / (36 * root)
    smooth = smooth - (3 * z**4 + 7 * z**2 - 16) / (810 * shape)
    return torch.where(shape > LARGE, smooth, high.exp())


def negative_binomial(total_count: Tensor, logits: Tensor, u: Tensor, choice: Callable[[], Tensor]) -> Tensor:
    """Whole numbers in float64, of u's shape, which the parameters broadcast to.

    choice: more uniform numbers like u. Of a law that reaches far they choose the rate of a Poisson count:
    the law is a mixture of such, their rates a Gamma law of shape total_count and scale exp(logits).
    """
    scale = torch.exp(logits.double())
    mean, spread = total_count * scale, 1 + scale
    far = mean + TAIL * spread + torch.sqrt(2 * TAIL * mean * spread) > FAR
    near = torch.where(far, NEVER, logits)
    found = first_count(_negative_binomial, (total_count, near), u).double()
    far = far.expand(u.shape)
    if far.any():
        shape, scale = (each.double().expand(u.shape)[far] for each in (total_count, scale))
        found[far] = poisson(scale * gamma(shape, choice()[far]), u[far])
    return found


def _poisson(count: Tensor, rate: Tensor) -> Tensor:
    return Poisson(rate, validate_args=False).log_prob(count)


def _negative_binomial(count: Tensor, total_count: Tensor, logits: Tensor) -> Tensor:
    return NegativeBinomial(total_count, logits=logits, validate_args=False).log_prob(count)
