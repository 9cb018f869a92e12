"""Laws that are known by functions of standard normals, such as a flow or a hierarchy that others trained."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class ReparameterisedDraw(NamedTuple):
    """What noise became, and the densities there. Shapes: K samples of a batch (...,)."""

    z: Tensor  # (K, ..., *event)
    log_prob: Tensor  # (K, ...) nats, log e(z|x)
    log_marginal: Tensor | None = None  # (K, ...) nats, log m(z), where the same pass gives it


class Reparameterised(Distribution):
    """e(z|x) as a function of noise. Its density is known at the codes that it drew last, nowhere else.

    transform: eps (K, *batch, noise_size), standard normal -> a draw of K samples of every row.
    """

    support = constraints.real
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(
        self,
        transform: Callable[[Tensor], ReparameterisedDraw],
        noise_size: int,
        batch_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        device: torch.device | None = None,
    ) -> None:
        self.transform, self.noise_size, self.device = transform, noise_size, device
        self._drawn: ReparameterisedDraw | None = None
        super().__init__(torch.Size(batch_shape), torch.Size(event_shape), validate_args=False)

    @property
    def mode(self) -> Tensor:
        """z where all noise is 0: the mode where the function keeps volume, and near the middle elsewhere."""
        zeros = torch.zeros(1, *self.batch_shape, self.noise_size, device=self.device)
        return self._checked(zeros).z[0]

    def from_noise(self, eps: Tensor) -> Tensor:
        """eps (K, *batch, noise_size) -> z (K, *batch, *event), whose densities are kept until the next draw.

        Raises:
            ValueError: the function gives other shapes.
        """
        self._drawn = self._checked(eps)
        return self._drawn.z

    def log_prob(self, z: Tensor) -> Tensor:
        """(K, ...) nats, of the very tensor that `from_noise` returned last.

        Raises:
            NotImplementedError: other codes.
        """
        return self._at(z).log_prob

    def log_marginal(self, z: Tensor) -> Tensor | None:
        """log m(z), (K, ...) nats, of the tensor that `from_noise` returned last; None where it is not told.

        Raises:
            NotImplementedError: other codes.
        """
        return self._at(z).log_marginal

    def _at(self, z: Tensor) -> ReparameterisedDraw:
        if self._drawn is None or z is not self._drawn.z:
            raise NotImplementedError(
                "a posterior given as a function of noise knows its density at the codes that it drew last "
                "only; what needs the density of other codes is not available for this model"
            )
        return self._drawn

    def _checked(self, eps: Tensor) -> ReparameterisedDraw:
        drawn = self.transform(eps)
        shape = eps.shape[:-1]
        if drawn.z.shape != (*shape, *self.event_shape):
            raise ValueError(
                f"z is {tuple(drawn.z.shape)} for {tuple(shape)} draws of {tuple(self.event_shape)}"
            )
        for what, density in (("log_prob", drawn.log_prob), ("log_marginal", drawn.log_marginal)):
            if density is not None and density.shape != shape:
                raise ValueError(f"{what} is {tuple(density.shape)} for {tuple(shape)} draws")
        return drawn


class ReparameterisedMarginal(Distribution):
    """m(z), batch (), by functions: of codes to their density, of noise to codes. Either may be missing.

    log_density: z (..., *event) -> (...) nats. transform: eps (..., noise_size), standard normal -> z.
    """

    support = constraints.real
    arg_constraints = {}  # noqa: RUF012 - as torch declares it

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        log_density: Callable[[Tensor], Tensor] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        noise_size: int = 0,
    ) -> None:
        self.log_density, self.transform, self.noise_size = log_density, transform, noise_size
        super().__init__(torch.Size(), torch.Size(event_shape), validate_args=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """(...,) nats.

        Raises:
            NotImplementedError: the model does not tell it.
        """
        if self.log_density is None:
            raise NotImplementedError("this model does not tell the density of its marginal at given codes")
        return self.log_density(z)

    def from_noise(self, eps: Tensor) -> Tensor:
        """eps (..., noise_size) -> z (..., *event).

        Raises:
            NotImplementedError: the model does not tell how its marginal is drawn from.
        """
        if self.transform is None:
            raise NotImplementedError("this model does not tell how to draw from its marginal")
        return self.transform(eps)
