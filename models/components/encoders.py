"""Encoders: x (..., H, W) of 0s and 1s -> e(z|x), batch (...,), event (Z,) (paper, appendix F.1)."""

import torch
from rdserve.models.distributions.reparameterised import Reparameterised
from rdserve.models.distributions.spike_slab import SpikeSlab
from rdserve.models.networks.flows import MeanOnlyFlow
from rdserve.models.networks.layers import GatedConv2d, Size, channels, full_precision, halved
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution
from torch.nn import functional as F

# (channels, kernel, stride); a last layer reduces what is left to one pixel.
LAYERS = ((32, 5, 1), (32, 5, 2), (64, 5, 1), (64, 5, 2))
LAST_CHANNELS = 256
VARIANCE_FLOOR = 1e-8  # keeps log_prob finite when softplus underflows


class GaussianEncoder(nn.Module):
    """Encoder "-": gated convolutions to a diagonal Gaussian.

    x -> 2x - 1 -> 28, 14, 7, 1 -> Linear -> mean
                                -> softplus(Linear) -> variance
    """

    def __init__(self, image_size: Size, n_latents: int, width: float = 1.0) -> None:
        super().__init__()
        widths = [1, *(channels(c, width) for c, _, _ in LAYERS)]
        last = channels(LAST_CHANNELS, width)
        self.body = nn.Sequential(
            *(
                GatedConv2d(below, above, kernel, stride=stride, padding=kernel // 2)
                for below, above, (_, kernel, stride) in zip(widths[:-1], widths[1:], LAYERS, strict=True)
            ),
            GatedConv2d(widths[-1], last, halved(halved(image_size))),
        )
        self.mean = nn.Linear(last, n_latents)
        self.variance = nn.Linear(last, n_latents)

    def forward(self, x: Tensor) -> Independent[Normal]:
        return Independent(self._gaussian(self._features(x)), 1)

    def _features(self, x: Tensor) -> Tensor:
        batch, image = x.shape[:-2], x.shape[-2:]
        h: Tensor = self.body((2 * x - 1).reshape(-1, 1, *image))
        return h.view(*batch, -1)

    def _gaussian(self, h: Tensor) -> Normal:
        variance = F.softplus(full_precision(self.variance(h))) + VARIANCE_FLOOR
        return Normal(full_precision(self.mean(h)), variance.sqrt())


class SparseEncoder(GaussianEncoder):
    """The same network with a third read-out: the probability that a latent is not 0."""

    def __init__(self, image_size: Size, n_latents: int, width: float = 1.0) -> None:
        super().__init__(image_size, n_latents, width)
        self.spike = nn.Linear(self.mean.in_features, n_latents)

    def forward(self, x: Tensor) -> Independent[SpikeSlab]:  # type: ignore[override]
        h = self._features(x)
        slab = self._gaussian(h)
        return Independent(SpikeSlab(full_precision(self.spike(h)), slab.loc, slab.scale), 1)


class FlowEncoder(nn.Module):
    """Encoder "+": the same network, its Gaussian pushed through a mean-only flow.

    The flow takes no context from x, so it is one map for all x, and a VampPrior over this encoder
    is a Gaussian mixture pushed through that map.
    """

    def __init__(self, image_size: Size, n_latents: int, width: float, flow: MeanOnlyFlow) -> None:
        super().__init__()
        self.base = GaussianEncoder(image_size, n_latents, width)
        self.flow = flow

    def forward(self, x: Tensor) -> TransformedDistribution:
        return TransformedDistribution(self.base(x), [self.flow.transform])


def mode(e: Distribution) -> Tensor:
    """(B, Z): the most probable z; of a sparse latent, 0 or the slab's mean, whichever part is likelier.
    A mean-only flow keeps volume, so it carries modes to modes. A function of noise: z where that is 0."""
    if isinstance(e, TransformedDistribution):
        z = mode(e.base_dist)
        for transform in e.transforms:
            z = transform(z)
        return z
    return e.mode


def scale(e: Distribution) -> Tensor:
    """(B, Z): standard deviation of each latent; where there is a flow, of the Gaussian that goes into it.
    That is 1 where the law is a function of standard normals.

    The latents' own have no closed form after a flow of several steps, each of which mixes all of them.
    """
    if isinstance(e, Reparameterised):
        return torch.ones((*e.batch_shape, *e.event_shape), device=e.device)
    return scale(e.base_dist) if isinstance(e, TransformedDistribution) else torch.sqrt(e.variance)
