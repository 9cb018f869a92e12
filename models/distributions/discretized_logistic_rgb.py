"""Pixels of three channels as a mixture of discretised logistic laws, where a channel's mean depends on the
channels before it (Salimans et al., "PixelCNN++", ICLR 2017, section 2.2)."""

import torch
from rdserve.models.distributions.discretized_logistic import DiscretizedLogistic
from rdserve.models.distributions.inverse_cdf import members, pick
from torch import Size, Tensor
from torch.distributions import Distribution, constraints


class DiscretizedLogisticMixtureRGB(Distribution):
    """Event: pixels (*space) with an axis of 3 channels put in at channel_axis; x in levels 0 to levels - 1.

    mix_logits: (..., *space, M). loc, scale, coefficients: (..., *space, 3, M), in the units of
    network_range, which are what the network calls the lowest and the highest level. With y the pixel in
    those units and c the coefficients, the means of red, green and blue are

        m_0        m_1 + c_0 y_0        m_2 + c_1 y_0 + c_2 y_1
    """

    support = constraints.real
    arg_constraints = {  # noqa: RUF012 - as torch declares it
        "mix_logits": constraints.real_vector,
        "loc": constraints.real,
        "scale": constraints.positive,
        "coefficients": constraints.real,
    }

    def __init__(
        self,
        mix_logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        coefficients: Tensor,
        levels: int,
        *,
        n_space_axes: int = 2,
        channel_axis: int = -1,
        network_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        self.mix_logits, self.loc, self.scale, self.coefficients = mix_logits, loc, scale, coefficients
        self.levels, self.low = levels, network_range[0]
        self.step = (network_range[1] - network_range[0]) / (levels - 1)
        # Counted from the end, so that it is the same axis of x with or without a batch.
        self.axis = channel_axis if channel_axis < 0 else channel_axis - n_space_axes - 1
        split = mix_logits.dim() - 1 - n_space_axes
        self.space = mix_logits.shape[split:-1]
        event = list(self.space)
        event.insert(self.axis % (n_space_axes + 1), 3)
        super().__init__(mix_logits.shape[:split], Size(event))

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats. x: whole numbers of a floating dtype."""
        x = x.movedim(self.axis, -1)
        y = self._units(x)[..., None]
        loc = torch.stack([self._mean(self.loc, self.coefficients, y, channel) for channel in range(3)], -2)
        cells = self._cells(loc, self.scale).log_prob(x[..., None]).sum(-2)
        log_pixel = torch.logsumexp(torch.log_softmax(self.mix_logits, -1) + cells, -1)
        return log_pixel.flatten(-len(self.space)).sum(-1)

    def from_uniform(self, choice: Tensor, u: Tensor) -> Tensor:
        """x (K, B, *event) from uniform numbers: choice (K, B, *space) of the member, u like x."""
        member = members(self.mix_logits.softmax(-1), choice)[..., None].expand(*choice.shape, 3)
        loc, scale, coefficients = (pick(each, member) for each in (self.loc, self.scale, self.coefficients))
        u = u.movedim(self.axis, -1)
        x = torch.zeros_like(loc)
        for channel in range(3):
            mean = self._mean(loc[..., None], coefficients[..., None], self._units(x)[..., None], channel)
            law = self._cells(mean.squeeze(-1), scale[..., channel])
            x[..., channel] = law.icdf(u[..., channel])
        return x.movedim(-1, self.axis)

    def _units(self, x: Tensor) -> Tensor:
        return self.low + self.step * x

    def _mean(self, loc: Tensor, c: Tensor, y: Tensor, channel: int) -> Tensor:
        """(..., M) of loc, c and y (..., 3, M), given the channels of y before this one."""
        y0, y1 = y[..., 0, :], y[..., 1, :]
        if channel == 0:
            return loc[..., 0, :] + torch.zeros_like(y0)
        if channel == 1:
            return loc[..., 1, :] + c[..., 0, :] * y0
        return loc[..., 2, :] + c[..., 1, :] * y0 + c[..., 2, :] * y1

    def _cells(self, loc: Tensor, scale: Tensor) -> DiscretizedLogistic:
        return DiscretizedLogistic((loc - self.low) / self.step, scale / self.step, self.levels)
