"""Mean-only autoregressive flows: four masked networks, each shifting every latent by a function
of the latents before it (paper, section 4 and appendix F; MADE: Germain et al., 2015).

The Jacobian of a step is triangular with ones on its diagonal, so log|det| = 0 and densities
move through the flow unchanged.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn import functional as F

N_STEPS = 4
N_HIDDEN_LAYERS = 3
HIDDEN_UNITS = 640


class MaskedLinear(nn.Linear):
    """A linear layer in which unit i sees unit j only where degree_out[i] > (or >=) degree_in[j]."""

    mask: Tensor

    def __init__(self, degree_in: Tensor, degree_out: Tensor, *, strict: bool) -> None:
        super().__init__(len(degree_in), len(degree_out))
        allowed = degree_out[:, None] > degree_in if strict else degree_out[:, None] >= degree_in
        self.register_buffer("mask", allowed.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.masked_weight, self.bias)

    @property
    def masked_weight(self) -> Tensor:
        return self.weight * self.mask


class MADE(nn.Module):
    """z (..., Z) -> shift (..., Z), where shift i depends on the latents before i only.

    reverse: which way round "before" is. The output layer starts at zero, so a new flow is the identity.
    """

    def __init__(self, n_latents: int, n_hidden: int, *, reverse: bool) -> None:
        super().__init__()
        order = torch.arange(1, n_latents + 1)
        degree = order.flip(0) if reverse else order
        hidden = torch.arange(n_hidden) % max(n_latents - 1, 1) + 1
        degrees = [degree, *[hidden] * N_HIDDEN_LAYERS]
        self.hidden = nn.ModuleList(
            MaskedLinear(below, above, strict=False) for below, above in pairwise(degrees)
        )
        self.out = MaskedLinear(hidden, degree, strict=True)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.order = degree.argsort().tolist()

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.hidden:
            z = F.relu(layer(z))
        shift: Tensor = self.out(z)
        return shift

    def solve(self, y: Tensor) -> Tensor:
        """The x with x + shift(x) = y, (..., Z), one latent after another.

        A hidden unit of degree d is final once d latents are known, so all of it costs one pass.
        """
        flat = y.reshape(-1, y.shape[-1])
        layers = [(layer.masked_weight, layer.bias) for layer in (*self.hidden, self.out)]
        x = torch.zeros_like(flat)
        maps = [x, *(flat.new_zeros(len(flat), len(bias)) for _, bias in layers[:-1])]
        for known, i in enumerate(self.order):
            out, bias = layers[-1]
            x[:, i] = flat[:, i] - (maps[-1] @ out[i] + bias[i])
            units = slice(known, None, max(len(self.order) - 1, 1))  # those of degree known + 1
            for (weight, bias), (below, above) in zip(layers[:-1], pairwise(maps), strict=True):
                above[:, units] = F.relu(F.linear(below, weight[units], bias[units]))
        return x.view(y.shape)


class MeanOnlyFlow(nn.Module):
    """Four mean-only steps, the order of the latents reversed from each to the next.

    `transform` maps noise to latents in parallel and back one latent at a time (IAF, for an
    encoder); `transform.inv` does the opposite (MAF, for a marginal).
    """

    def __init__(self, n_latents: int, n_hidden: int = HIDDEN_UNITS, n_steps: int = N_STEPS) -> None:
        super().__init__()
        self.steps = nn.ModuleList(MADE(n_latents, n_hidden, reverse=bool(i % 2)) for i in range(n_steps))
        self.transform = FlowTransform(self)

    def push(self, x: Tensor) -> Tensor:
        """(..., Z) -> (..., Z), all latents at once."""
        for step in self.steps:
            x = x + step(x)
        return x

    def pull(self, y: Tensor) -> Tensor:
        """The inverse of `push`, one latent at a time; not differentiable."""
        for step in reversed(self.steps):
            assert isinstance(step, MADE)
            y = step.solve(y)
        return y


class FlowTransform(Transform):
    """A `MeanOnlyFlow` as torch sees it.

    It remembers its last (x, y), so the density of a sample costs no inversion: the noise that made
    it is at hand. Another thread's call in between only costs that saving.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, flow: MeanOnlyFlow) -> None:
        super().__init__(cache_size=1)
        self.flow = flow

    def _call(self, x: Tensor) -> Tensor:
        return self.flow.push(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.flow.pull(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])
