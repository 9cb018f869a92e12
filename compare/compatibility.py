"""Which models can be scored on which images, and which compare.

Distortions are comparable on the same x: the same data, prepared alike, with one measure and unit. The law
may differ: a categorical and a beta-binomial both give probabilities of the same levels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo
from rdserve.compare.scores import ScoredData
from rdserve.data.kinds import described, levels_of

# What must agree, as a reader would call it.
_FACTS = {
    "input_kind": "kinds of x",
    "image_size": "sizes of x",
    "measure": "measures of D",
    "unit": "units of x",
    "binarisation": "binarisations",
    "preprocessing": "preprocessing",
    "data_sha256": "training data",
}
Array = NDArray[Any]
FLAG = "--allow-incomparable"


def differences(models: Sequence[ModelInfo]) -> list[str]:
    """What the models differ in that gives their numbers other meanings: a sentence each, quoting all."""
    found = []
    for fact, name in _FACTS.items():
        groups: dict[str, list[str]] = {}
        for model in models:
            groups.setdefault(_text(model, fact), []).append(model.name)
        if len(groups) > 1:
            sides = " but ".join(f"{_listed(names)} {value!r}" for value, names in groups.items())
            found.append(f"different {name}: {sides}")
    return found


def check_fit(models: Sequence[ModelInfo], x: Array) -> None:
    """Raises InputError by name: a model that does not serve, or takes other x."""
    for model in models:
        if fault := misfit(model, x):
            raise InputError(f"model {model.name!r} {fault}")


def misfit(model: ModelInfo, x: Array) -> str:
    """Why a model cannot be scored on x (N, ...); empty where it can."""
    if model.fault:
        return model.fault
    if (model.input_shape or model.image_shape) != x.shape[1:]:
        return f"takes {model.image_size} images, the data has {'x'.join(map(str, x.shape[1:]))}"
    if x.dtype != np.bool_ and model.input_kind in ("binary", "one_hot"):
        levels = levels_of(x)
        half = levels // 2 if levels else 0.5
        return (
            f"takes binary x, the data hold {described(x, levels)}. --preprocess threshold={half:g} makes "
            f"them binary; the model's are {model.binarisation or 'binary as they came'}"
        )
    if x.dtype.kind == "f" and model.input_kind in ("levels", "counts"):
        return f"takes whole numbers, the data are {x.dtype}"
    return ""


def check(models: Sequence[ModelInfo], *, allow_incomparable: bool = False) -> tuple[str, ...]:
    """Warnings to show in every output: none for models that compare.

    Raises:
        InputError: models that do not, unless `allow_incomparable` says to go on and warn.
    """
    found = differences(models)
    if found and not allow_incomparable:
        advice = f"Pick models that agree, or pass {FLAG} to compare them all the same"
        raise InputError(f"these models do not compare: {'; '.join(found)}. {advice}")
    return tuple(f"not comparable: {difference}" for difference in found)


def foreign(models: Sequence[ModelInfo], data: ScoredData) -> tuple[str, ...]:
    """A warning where models were trained on other data than they are compared on."""
    strangers = [model.name for model in models if model.data_sha256 != data.sha256]
    if not strangers:
        return ()
    return (f"trained on other data than {data.name!r} (sha256 {data.sha256[:12]}): {_listed(strangers)}",)


def _text(model: ModelInfo, fact: str) -> str:
    if fact == "measure":  # a service that states none is from before there were laws of one measure
        return model.measure or f"that of {model.likelihood}"
    if fact == "preprocessing":
        return ", ".join(model.preprocessing) or "none"
    if fact == "data_sha256":
        return f"{model.data_name} (sha256 {model.data_sha256[:12]})"
    return str(getattr(model, fact))


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
