"""One line that says what the numbers of a comparison are and depend on; it goes into every file."""

import hashlib
import re
from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from rdserve.client.results import ModelInfo
from rdserve.compare.scores import ScoreSet

_UNSAFE = re.compile(r"[^A-Za-z0-9._/+ -]")
SHORT = 12  # hexadecimal digits of a hash


def signature(scored: ScoreSet) -> str:
    """Fields as `key:value`, divided by `|`, in printable ASCII; two that are equal name the same numbers.

    R and D are named by their definitions; K is the number of samples of e(z|x); data, ids and weights
    are the first 12 hexadecimal digits of SHA-256, and so are group ids, where there are any, after how many
    groups there are; what is said once holds for every model.
    """
    models, data = scored.models, scored.data
    fields = {
        "rdserve": version("rdserve"),
        "R": "KL(e(z/x),m(z))" + _kind(score.rate_is_exact for score in scored.scores),
        "D": "-log d(x/z)",
        "likelihood": _one_or_each(models, "likelihood"),
        "units": "nats per example",
        "n": str(scored.n),
        "K": str(scored.n_samples),
        "seed": str(scored.seed),
        "data": f"{_safe(data.name)}/{_safe(data.split)}@{_safe(data.sha256[:SHORT])}",
        "ids": ids_sha256(scored)[:SHORT],
        **({} if scored.group_ids is None else {"groups": _groups(scored.n_groups, scored.group_ids)}),
        "weights": ",".join(f"{_safe(model.name)}@{_safe(model.weights_sha256[:SHORT])}" for model in models),
        "code": _one_or_each(models, "code_version"),
        "dtype": _one_or_each(models, "dtype"),
        "device": _one_or_each(models, "device"),
    }
    return "|".join(f"{key}:{value}" for key, value in fields.items())


def fields(line: str) -> list[tuple[str, str]]:
    """The keys and values of a signature, in its order."""
    return [(key, value) for key, _, value in (field.partition(":") for field in line.split("|"))]


def ids_sha256(scored: ScoreSet) -> str:
    """SHA-256 of the example ids, as little-endian 64-bit integers in order."""
    return hashlib.sha256(scored.example_ids.astype("<u8").tobytes()).hexdigest()


def _groups(count: int | None, ids: NDArray[np.int64]) -> str:
    return f"{count}@{hashlib.sha256(ids.astype('<i8').tobytes()).hexdigest()[:SHORT]}"


def _kind(exact: Iterable[bool]) -> str:
    kinds = {"closed form" if one else "estimated" for one in exact}
    return f" {' or '.join(sorted(kinds))}"


def _one_or_each(models: Iterable[ModelInfo], field: str) -> str:
    """The value that all models share, or every model's; "unstated" where the service does not say."""
    values = {model.name: str(getattr(model, field, "") or "unstated") for model in models}
    if len(set(values.values())) == 1:
        return _safe(next(iter(values.values())))
    return ",".join(f"{_safe(name)}@{_safe(value)}" for name, value in values.items())


def _safe(text: str) -> str:
    """Names come from whoever made a model: no divider, line end or end of a comment gets through."""
    escaped = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), text)
    return escaped.replace("--", "-%2D")
