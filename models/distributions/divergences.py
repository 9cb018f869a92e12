"""Divergences in closed form that torch lacks, between laws of torch's."""

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)


@register_kl(MultivariateNormal, Independent)  # type: ignore[untyped-decorator]
def _kl(q: MultivariateNormal, p: Independent[Distribution]) -> Tensor:
    law = p.base_dist
    if not (isinstance(law, Normal) and p.event_shape == q.event_shape):
        raise NotImplementedError
    scale = torch.diag_embed(law.scale.to(q.loc))
    return kl_divergence(q, MultivariateNormal(law.loc.to(q.loc), scale_tril=scale))
