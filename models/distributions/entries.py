"""What builders of laws of x and of z share: laws of independent entries of an event."""

from rdserve.models.distributions.law_inputs import LawInputs
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal
from torch.distributions.utils import probs_to_logits


def independent(law: Distribution, given: LawInputs) -> Distribution:
    """The entries of the event, each with its own law."""
    return Independent(law, len(given.event_shape))


def logits(given: LawInputs, trailing: int = 0, event: tuple[int, ...] | None = None) -> Tensor:
    """Of outcomes along the last axis."""
    found = given.tensor("logits", trailing, event)
    return probs_to_logits(found) if "probs" in given.tensors else found


def binary_logits(given: LawInputs) -> Tensor:
    """Of 1 against 0, of every entry."""
    found = given.tensor("logits")
    return probs_to_logits(found, is_binary=True) if "probs" in given.tensors else found


def loc_scale(given: LawInputs, trailing: int = 0) -> tuple[Tensor, Tensor]:
    """Both in one dtype."""
    loc = given.tensor("loc", trailing)
    return loc, given.tensor("scale", trailing).to(loc)


def normal(given: LawInputs) -> Distribution:
    """Independent entries."""
    return independent(Normal(*loc_scale(given)), given)


def laplace(given: LawInputs) -> Distribution:
    """Independent entries."""
    return independent(Laplace(*loc_scale(given)), given)
