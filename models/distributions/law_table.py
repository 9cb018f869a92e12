"""What each law of the contract is called, takes and measures. No torch here.

A law's parameters are tensors that a network computes or, of a marginal, that a file holds; its arguments are
constants. Packaging, export and the service take their messages from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# What x or z may be, as a card says it.
Kind = Literal["binary", "levels", "counts", "real", "one_hot", "codes", "sphere"]
# With respect to what a density is one: points of a countable set, or volume in the unit of x.
Measure = Literal["counting", "lebesgue"]


class LawError(ValueError):
    """No such law; or tensors or arguments that do not make one."""


@dataclass(frozen=True)
class Parameter:
    """One tensor of a law.

    names: what it may be called, the preferred name first. They say how it is given: log_scale, variance.
    optional: whether an argument of the first name may stand for it.
    """

    names: tuple[str, ...]
    optional: bool = False

    def __str__(self) -> str:
        words = " or ".join(self.names)
        return f"{words} (or the argument {self.names[0]})" if self.optional else words


@dataclass(frozen=True)
class LawEntry:
    """A law by name.

    kinds: of x, or of z. arguments: their names, each with what it is.
    from_functions: not made of parameters, but of a model's own functions; see `reparameterised`.
    """

    name: str
    parameters: tuple[Parameter, ...]
    kinds: tuple[Kind, ...]
    measure: Measure
    arguments: Mapping[str, str]
    required: tuple[str, ...] = ()
    from_functions: bool = False

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """All accepted names."""
        return tuple(name for parameter in self.parameters for name in parameter.names)

    @property
    def needs(self) -> str:
        """The parameters, in words."""
        return "; ".join(map(str, self.parameters)) or "no parameters"


_LOC = Parameter(("loc",))
_SCALE_NAMES = ("scale", "log_scale", "variance", "log_variance")
_SCALE = Parameter(_SCALE_NAMES)
_SCALE_OR_ARGUMENT = Parameter(_SCALE_NAMES, optional=True)
_LOGITS = Parameter(("logits", "probs"))
_MIX_LOGITS = Parameter(("mix_logits",))
_LEVELS = {"levels": "how many values x takes: 0 to levels - 1"}
_RANGE = {"network_range": "what the network calls the lowest and the highest level"}
_FIXED = {"scale": "of every entry, where the decoder computes none"}


def _entry(
    name: str,
    parameters: tuple[Parameter, ...],
    kind: Kind,
    measure: Measure,
    arguments: Mapping[str, str] | None = None,
    required: tuple[str, ...] = (),
    *,
    from_functions: bool = False,
) -> LawEntry:
    return LawEntry(name, parameters, (kind,), measure, arguments or {}, required, from_functions)


def _table(*entries: LawEntry) -> dict[str, LawEntry]:
    return {entry.name: entry for entry in entries}


LIKELIHOODS = _table(
    _entry("bernoulli", (_LOGITS,), "binary", "counting"),
    _entry(
        "continuous_bernoulli",
        (_LOGITS,),
        "real",
        "lebesgue",
        {"clamp": "least distance of probs from 0 and 1, where the model was trained with one"},
    ),
    _entry("categorical", (_LOGITS,), "levels", "counting", _LEVELS),
    _entry("discretized_logistic", (_LOC, _SCALE), "levels", "counting", _LEVELS | _RANGE, ("levels",)),
    _entry(
        "discretized_logistic_mixture",
        (_MIX_LOGITS, _LOC, _SCALE),
        "levels",
        "counting",
        _LEVELS | _RANGE,
        ("levels",),
    ),
    _entry(
        "discretized_logistic_mixture_rgb",
        (_MIX_LOGITS, _LOC, _SCALE, Parameter(("coefficients",))),
        "levels",
        "counting",
        _LEVELS | _RANGE | {"channel_axis": "of x: the one that holds red, green and blue"},
        ("levels",),
    ),
    _entry("normal", (_LOC, _SCALE_OR_ARGUMENT), "real", "lebesgue", _FIXED),
    _entry("laplace", (_LOC, _SCALE_OR_ARGUMENT), "real", "lebesgue", _FIXED),
    _entry("poisson", (Parameter(("rate", "log_rate")),), "counts", "counting"),
    _entry(
        "negative_binomial",
        (Parameter(("mean", "log_mean")), Parameter(("total_count", "log_total_count"))),
        "counts",
        "counting",
    ),
    _entry(
        "beta_binomial",
        (Parameter(("alpha", "log_alpha")), Parameter(("beta", "log_beta"))),
        "levels",
        "counting",
        _LEVELS,
        ("levels",),
    ),
)
POSTERIORS = _table(
    _entry("normal", (_LOC, _SCALE), "real", "lebesgue"),
    _entry("normal_full", (_LOC, Parameter(("scale_tril",))), "real", "lebesgue"),
    _entry("laplace", (_LOC, _SCALE), "real", "lebesgue"),
    _entry("one_hot", (_LOGITS,), "one_hot", "counting"),
    _entry(
        "von_mises_fisher",
        (_LOC, Parameter(("concentration", "log_concentration"))),
        "sphere",
        "lebesgue",
    ),
    _entry("codes", (Parameter(("codes",)),), "codes", "counting"),
    _entry("graph", (), "real", "lebesgue", from_functions=True),
)
MARGINALS = _table(
    _entry("standard_normal", (), "real", "lebesgue"),
    _entry("normal", (_LOC, _SCALE), "real", "lebesgue"),
    _entry("normal_mixture", (_LOGITS, _LOC, _SCALE), "real", "lebesgue"),
    LawEntry("categorical", (_LOGITS,), ("one_hot", "codes"), "counting", {}),
    _entry(
        "uniform_codes",
        (),
        "codes",
        "counting",
        {"n_codes": "how many values a code takes: 0 to n_codes - 1"},
        ("n_codes",),
    ),
    _entry("uniform_sphere", (), "sphere", "lebesgue"),
    _entry("graph", (), "real", "lebesgue", from_functions=True),
)
