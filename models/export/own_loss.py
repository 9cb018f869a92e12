"""The exported model beside the loss that its author trained it with: all that sees a wrong law."""

from collections.abc import Callable

import torch
from rdserve.models.export.to_graph import ExportError
from rdserve.models.information import MonteCarloMean
from torch import Tensor

# x (N, *x), float32 -> rate and distortion, each (N,) or a mean, in nats
OwnLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
# Standard errors of a difference that are no chance, and nats that rounding makes of one.
MAX_Z = 5.0
ROUNDING = 1e-2


def compare_losses(own: OwnLoss, x: Tensor, rate: Tensor, distortion: Tensor) -> dict[str, float]:
    """How far the author's R and D are from ours, in nats, means over x; each side has its own noise.

    rate, distortion: (N,) nats of each x, ours.

    Raises:
        ExportError: further than chance.
    """
    with torch.no_grad():
        theirs = own(x)
    found = {}
    for name, mine, other in zip(("rate", "distortion"), (rate, distortion), theirs, strict=True):
        value = torch.as_tensor(other).double()
        mean, measured = float(value.mean()), MonteCarloMean.of(mine)
        ours, error = measured.value, measured.standard_error * 2**0.5
        apart = abs(mean - ours)
        if apart > MAX_Z * error + ROUNDING * max(1.0, abs(ours)) ** 0.5:
            raise ExportError(
                f"own_loss gives a mean {name} of {mean:.6g} nats over {len(x)} examples, the laws of the "
                "card "
                f"{ours:.6g}: {apart / (error + 1e-12):.1f} standard errors apart. "
                f"{_cure(name)}"
            )
        found[f"own_{name}_difference_nats"] = mean - ours
    return found


def _cure(name: str) -> str:
    if name == "rate":
        return "Look at the posterior's parameters (variance or log_variance?) and at the marginal"
    return (
        "Look at the likelihood's law, its constants (a squared error leaves out D/2 log 2 pi) and the unit "
        "of x, "
        "and at whether the loss is a sum over entries"
    )
