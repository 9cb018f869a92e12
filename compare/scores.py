"""What was scored: per-example scores of several models on the same examples under the same noise.

All else (statistics, tables, figures, files) is computed from one `ScoreSet`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.origin import Origin
from rdserve.compare.statistics.groups import by_group, coded, independent
from rdserve.compare.statistics.intervals import Method
from rdserve.compare.stretches import stretches
from rdserve.data.preprocessing import NONE

# Of a score, one value per example.
ARRAYS = ("rate_nats", "distortion_nats", "importance_bound_nats", "importance_ess")

Rows = NDArray[np.int64]
# What is compared: each model as it is, or recipes, of which models are runs.
By = Literal["model", "recipe"]


def images_sha256(x: NDArray[Any]) -> str:
    """Of bits eight to a byte, of other values with their dtype, read a stretch at a time."""
    digest = hashlib.sha256()
    if x.dtype != np.bool_:
        digest.update(f"{x.dtype.name} {x.shape[1:]}\n".encode())
    for rows in stretches(len(x)):
        digest.update(
            (np.packbits(x[rows]) if x.dtype == np.bool_ else np.ascontiguousarray(x[rows])).tobytes()
        )
    return digest.hexdigest()


@dataclass(frozen=True)
class ScoredData:
    """Which images: a named data set's split, or "images" for arrays that a caller brought.

    sha256: of the whole data set before preprocessing, or of the caller's pixels.
    preprocessing: what was done to it, as `rdserve.data.preprocessing.words` says it.
    """

    name: str
    split: str
    sha256: str
    preprocessing: str = NONE

    def document(self) -> dict[str, str]:
        """As JSON holds it, without a word of preprocessing where there was none."""
        found: dict[str, str] = asdict(self)
        if self.preprocessing == NONE:
            del found["preprocessing"]
        return found


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """Models (M) scored on the same examples (N) under the noise of one seed. Nats per example.

    R and D are finite: others are refused by model and example id (InputError).

    models, scores: in one order; every score holds N examples.
    example_ids: (N,) uint64, with the seed the names of the noise. labels: (N,) or None.
    group_ids: (N,) or None; examples of one group, such as a writer's, depend on one another.
    level: confidence in all that is called sure at once, and of an interval that stands by itself.
    method: "sequential" where scoring stopped on what it saw.
    by: "recipe" where models are also compared as runs of their recipes, for a fixed number of images.
    beta: the weight of R in the D + beta R that is reported.
    warnings: what a reader of any output must know, such as models that do not quite compare.
    failures: models that gave no scores, by name, with the reason.
    origin: when, where and by what command; None once read back from a document.
    """

    models: tuple[ModelInfo, ...]
    scores: tuple[Score, ...]
    example_ids: NDArray[np.uint64]
    data: ScoredData
    seed: int = 0
    n_samples: int = 1
    labels: NDArray[np.int64] | None = None
    group_ids: NDArray[np.int64] | None = None
    level: float = 0.95
    beta: float = 1.0
    method: Method = "t"
    by: By = "model"
    warnings: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if len(self.models) != len(self.scores):
            raise InputError(f"{len(self.models)} models but {len(self.scores)} scores")
        if len(set(self.names)) < len(self.names):
            raise InputError(f"each model once, got {', '.join(self.names)}")
        if self.by == "recipe" and self.method == "sequential":
            raise InputError("recipes need a number of images that is fixed beforehand: leave out `stop`")
        sizes = {name: len(score.rate_nats) for name, score in zip(self.names, self.scores, strict=True)}
        for name, given in (("labels", self.labels), ("group ids", self.group_ids)):
            if given is not None:
                sizes[name] = len(given)
        if wrong := {name: size for name, size in sizes.items() if size != self.n}:
            raise InputError(f"{self.n} example ids, but {wrong}")
        for name, score in zip(self.names, self.scores, strict=True):
            self._check_finite(name, score)

    def _check_finite(self, name: str, score: Score) -> None:
        for what, values in (("R", score.rate_nats), ("D", score.distortion_nats)):
            if len(bad := np.flatnonzero(~np.isfinite(values))):
                raise InputError(
                    f"{name} has {what} = {values[bad[0]]} nats on example {self.example_ids[bad[0]]}, and "
                    f"{len(bad)} such in all: leave the model or these examples out"
                )

    @property
    def n(self) -> int:
        """How many examples."""
        return len(self.example_ids)

    @cached_property
    def n_groups(self) -> int | None:
        """How many groups; None where examples are independent."""
        return None if self.group_ids is None else coded(self.group_ids)[1]

    @cached_property
    def n_independent(self) -> float:
        """How many independent examples, or groups of one size, the N are worth."""
        return independent(self.n, self.group_ids)

    @cached_property
    def units(self) -> "ScoreSet":
        """What errors are computed from: these scores; with groups, one mean-preserving value for each.

        `rdserve.compare.statistics.groups.by_group` of all but the effective samples, which are all 1.
        """
        if self.group_ids is None:
            return self
        given: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(ScoreSet)}
        scores = tuple(_by_group(score, self.group_ids) for score in self.scores)
        ids = np.arange(len(scores[0].rate_nats) if scores else 0, dtype=np.uint64)
        return ScoreSet(**given | {"scores": scores, "example_ids": ids, "labels": None, "group_ids": None})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)

    def score(self, name: str) -> Score:
        """Raises InputError where no model of that name was scored."""
        if name not in self.names:
            raise InputError(f"no model {name!r} in the comparison; there are {', '.join(self.names)}")
        return self.scores[self.names.index(name)]


def rows_of(score: Score, rows: Rows | slice) -> Score:
    """Some examples of a score, views where `rows` is a slice."""
    return Score(**{name: getattr(score, name)[rows] for name in ARRAYS}, rate_is_exact=score.rate_is_exact)


def _by_group(score: Score, groups: NDArray[np.int64]) -> Score:
    rate, distortion, bound = (by_group(getattr(score, name), groups) for name in ARRAYS[:3])
    return Score(rate, distortion, bound, np.ones(len(rate)), score.rate_is_exact)
