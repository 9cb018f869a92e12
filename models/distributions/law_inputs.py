"""Tensors and arguments as they are given -> as a law takes them, or what is wrong with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

import torch
from rdserve.models.distributions.law_table import LawEntry, LawError
from torch import Tensor


@dataclass(frozen=True)
class LawInputs:
    """What was given for a law.

    role: "likelihood", "posterior" or "marginal". batch_shape: what the first axis of every tensor stands
    for; None where tensors have no such axis.
    """

    role: str
    entry: LawEntry
    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, object]
    event_shape: tuple[int, ...]
    batch_shape: tuple[int, ...] | None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.tensors) - set(self.entry.parameter_names)):
            raise self.wrong(f"takes {self.entry.needs}; got {', '.join(unknown)} too")
        if unknown := sorted(set(self.arguments) - set(self.entry.arguments)):
            known = ", ".join(self.entry.arguments) or "no arguments"
            raise self.wrong(f"takes {known}; got the argument {', '.join(unknown)}")
        for name in self.entry.required:
            if name not in self.arguments:
                raise self.wrong(f"needs the argument {name}: {self.entry.arguments[name]}")

    def wrong(self, what: str) -> LawError:
        """An error that names the law."""
        return LawError(f"{self.role} {self.entry.name!r} {what}")

    def tensor(self, preferred: str, trailing: int = 0, event: Sequence[int] | None = None) -> Tensor:
        """The parameter by its preferred name, however it was given: (*batch, *event, and trailing axes).

        event: in place of the law's event shape.

        Raises:
            LawError: it is missing, given twice, or of another shape.
        """
        parameter = next(each for each in self.entry.parameters if each.names[0] == preferred)
        given = [name for name in parameter.names if name in self.tensors]
        if len(given) > 1:
            raise self.wrong(f"takes one of {parameter}; got {' and '.join(given)}")
        if given:
            shaped = self._shaped(given[0], trailing, self.event_shape if event is None else tuple(event))
            return shaped if given[0] == preferred else _CONVERSIONS[given[0]](shaped)
        if parameter.optional and preferred in self.arguments:
            return torch.tensor(self.number(preferred, above=0), dtype=torch.float64)
        raise self.wrong(f"needs {parameter}; got {', '.join(sorted(self.tensors)) or 'no tensors'}")

    def number(self, name: str, *, above: float, below: float = inf) -> float:
        """The argument of this name.

        Raises:
            LawError: not a number between the bounds.
        """
        value = self.arguments[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < below:
            upper = f" and below {below:g}" if below < inf else ""
            raise self.wrong(f"takes a {name} above {above:g}{upper}; got {value!r}")
        return float(value)

    def whole(self, name: str, *, least: int) -> int:
        """The argument of this name.

        Raises:
            LawError: not a whole number from `least` up.
        """
        value = self.arguments[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.wrong(f"takes {name}, a whole number from {least} up; got {value!r}")
        return value

    def interval(self, name: str, default: tuple[float, float]) -> tuple[float, float]:
        """The argument of this name, two numbers that ascend.

        Raises:
            LawError: anything else.
        """
        value = self.arguments.get(name, default)
        match value:
            case (int() | float() as low, int() | float() as high) if low < high:
                return float(low), float(high)
        raise self.wrong(f"takes a {name} of two numbers, the lower first; got {value!r}")

    def flat_event(self) -> int:
        """The size of an event of one axis.

        Raises:
            LawError: there are more.
        """
        if len(self.event_shape) != 1:
            raise self.wrong(f"is a law of vectors; got z of shape {self.event_shape}")
        return self.event_shape[0]

    def _shaped(self, name: str, trailing: int, event: tuple[int, ...]) -> Tensor:
        """A flat event takes its shape, axes of size 1 come and go, and one number serves every entry."""
        tensor = self.tensors[name]
        batch, first = (self.batch_shape, 1) if self.batch_shape is not None else ((), 0)
        own, rest = tensor.shape[first : tensor.dim() - trailing], tensor.shape[tensor.dim() - trailing :]
        if tensor.dim() >= first + trailing and (first == 0 or len(tensor) == prod(batch)):
            if own == (prod(event),) or _without_ones(own) == _without_ones(event):
                return tensor.reshape(*batch, *event, *rest)
            if prod(own) == 1 and (own or not trailing):
                own = torch.Size(1 for _ in event)
            if len(own) == len(event) and all(a in (1, b) for a, b in zip(own, event, strict=True)):
                return tensor.reshape(*batch, *own, *rest).expand(*batch, *event, *rest)
        wanted = (*(prod(batch) for _ in range(first)), *event, *("any" for _ in range(trailing)))
        raise self.wrong(f"needs {name} of shape {wanted}; got {tuple(tensor.shape)}")


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


# By the name under which a parameter is given, to the one that the law prefers. What becomes of probabilities
# depends on the law: see `entries`.
_CONVERSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "variance": torch.sqrt,
    "log_variance": lambda x: torch.exp(x / 2),
    "probs": lambda x: x,
    **dict.fromkeys(
        (
            "log_scale",
            "log_rate",
            "log_mean",
            "log_total_count",
            "log_alpha",
            "log_beta",
            "log_concentration",
        ),
        torch.exp,
    ),
}
