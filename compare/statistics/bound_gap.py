"""How far the ELBO may lie below log p(x), as far as K importance samples can tell."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rdserve.compare.statistics.summaries import Mean, mean

if TYPE_CHECKING:
    from rdserve.client.results import Score

# With fewer effective samples than this the importance bound hangs on one draw.
FEW_EFFECTIVE = 2.0


@dataclass(frozen=True)
class Tightness:
    """The bound of K samples (IWAE-K) beside the ELBO, nats, and what carried it.

    elbo <= bound <= log p(x) on average, so `gap`, bound - elbo with its standard error, is the least that
    the ELBO falls short. On average a larger K can only widen it.
    effective_samples: mean over examples, of K. thin: share of examples with fewer than two.
    """

    n_samples: int
    elbo: Mean
    bound: Mean
    gap: Mean
    effective_samples: float
    thin: float

    @property
    def hangs(self) -> bool:
        """Whether the bound hangs on one draw of most examples: more of them would raise it."""
        return self.thin > 0.5


def tightness(score: "Score", n_samples: int) -> Tightness | None:
    """None for one sample per example: its bound is the ELBO itself, and says nothing of the gap."""
    if n_samples < 2:
        return None
    return Tightness(
        n_samples=n_samples,
        elbo=mean(score.elbo_nats),
        bound=mean(score.importance_bound_nats),
        gap=mean(score.importance_bound_nats - score.elbo_nats),
        effective_samples=float(score.importance_ess.mean()),
        thin=float(np.mean(score.importance_ess < FEW_EFFECTIVE)),
    )


def identified(difference: float, a: Tightness | None, b: Tightness | None) -> bool | None:
    """Whether a difference in ELBO tells which model gives the data more likelihood.

    False where it is smaller than the larger of the two gaps: the bounds, not the models, may make it.
    True says only that no gap seen with K samples explains it. None where K = 1 leaves the gaps unknown.
    """
    if a is None or b is None or math.isnan(difference):
        return None
    return abs(difference) > max(a.gap.value, b.gap.value)
