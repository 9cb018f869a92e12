"""Laws of which each entry depends on those before it, known by all entries' laws at once."""

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

# A pass of the network draws one entry: a colour image of 32 x 32 fits.
MAX_ENTRIES = 4096


class DrawTooLarge(ValueError):
    """A draw that would take more passes of a network than a service can spend on it."""


class Autoregressive(Distribution):
    """d(x|z) = prod_i d(x_i | x_<i, z) in raster order, of a decoder that is given x (teacher forcing).

    given: x (..., *event), where (...) ends in the batch shape -> the law of every entry given those before
    it, batch (...) and the same event. What it says of entry i must not depend on entry i or later ones.
    channel_axis: this axis of the event comes last in the order, so that a pixel's channels are neighbours.
    max_entries: the largest event that is drawn from, a pass of `given` for each entry.
    """

    support = constraints.real
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(
        self,
        given: Callable[[Tensor], Distribution],
        batch_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.given, self.channel_axis, self.max_entries = given, channel_axis, max_entries
        super().__init__(torch.Size(batch_shape), torch.Size(event_shape), validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """(...,) nats, in one pass. x broadcasts to batch + event."""
        shape = torch.broadcast_shapes(x.shape, (*self.batch_shape, *self.event_shape))
        return self.given(x.expand(shape)).log_prob(x)

    def entries(self) -> Iterator[tuple[int, ...]]:
        """Indices into the event, in the order in which they are drawn."""
        axes = list(range(len(self.event_shape)))
        if self.channel_axis is not None:
            axes.append(axes.pop(self.channel_axis))
        for index in product(*(range(self.event_shape[axis]) for axis in axes)):
            yield tuple(index[axes.index(axis)] for axis in range(len(axes)))
