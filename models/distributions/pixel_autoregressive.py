"""Images whose pixels are drawn one after another, as a torch Distribution."""

from collections.abc import Callable

import torch
from rdserve.models.networks.layers import full_precision
from rdserve.models.networks.pixelcnn import PixelCNN
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, constraints

# planes and u (B, H, W) -> images (B, H, W) of 0s and 1s, pixel i set where u_i < p_i
Draw = Callable[[Tensor, Tensor], Tensor]


class PixelAutoregressive(Distribution):
    """d(x|z) = prod_i Bernoulli(x_i | x_<i, z) in raster order: batch (...,), event (H, W)."""

    support = constraints.independent(constraints.boolean, 2)
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(self, network: PixelCNN, plane: Tensor, draw: Draw) -> None:
        self.network, self.plane, self._draw = network, plane, draw
        super().__init__(plane.shape[:-2], plane.shape[-2:])

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats. x broadcasts to batch + event."""
        if self._validate_args:
            self._validate_sample(x)
        return Independent(Bernoulli(logits=self._logits(x)), 2).log_prob(x)

    def sample_from(self, u: Tensor) -> Tensor:
        """u (K, *batch, H, W) uniform on (0, 1) -> images of 0s and 1s, pixel i set where u_i < p_i."""
        plane = self.plane.expand(u.shape).reshape(-1, *self.event_shape)
        return self._draw(plane, u.reshape(plane.shape)).view(u.shape)

    def _logits(self, x: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(x.shape, self.plane.shape)
        flat = (-1, *self.event_shape)
        logits = self.network(x.expand(shape).reshape(flat), self.plane.expand(shape).reshape(flat))
        return full_precision(logits).reshape(shape)
