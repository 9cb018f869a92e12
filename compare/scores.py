"""What a comparison is: per-example scores of several models on the same examples under the same noise.

Everything else (statistics, table, figure, report) is computed from one `Comparison`. Its document is JSON
of the versioned schema `rdserve-comparison-data/1`; docs/statistics.md lists the fields.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from rdserve.client.client import Client
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.origin import Origin
from rdserve.compare.statistics.intervals import Method
from rdserve.wire.batches import slices

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from rdserve.compare.analysis.analysis import Analysis
    from rdserve.compare.analysis.pairs import Pairs

SCHEMA = "rdserve-comparison-data/1"

_INFO = TypeAdapter(ModelInfo)
_ARRAYS = ("rate_nats", "distortion_nats", "importance_bound_nats", "importance_ess")
_COLUMNS = (*_ARRAYS[:2], "elbo_nats", *_ARRAYS[2:])

# A multiple of eight: bytes then begin anew with the row, whatever its size.
PIXEL_ROWS = 4096

Rows = NDArray[np.int64]


def images_sha256(images: NDArray[np.bool_]) -> str:
    """Of the pixels of images (N, H, W), eight to a byte, read a stretch at a time."""
    digest = hashlib.sha256()
    for rows in slices(len(images), PIXEL_ROWS):
        digest.update(np.packbits(images[rows]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class ScoredData:
    """Which images: a named data set's split, or "images" for arrays that a caller brought.

    sha256: of the whole data set, or of the caller's pixels.
    """

    name: str
    split: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models (M) scored on the same examples (N) under the noise of one seed. Nats per example.

    R and D are finite: others are refused by model and example id (InputError).

    models, scores: in one order; every score holds N examples.
    example_ids: (N,) uint64, with the seed the names of the noise. labels: (N,) or None.
    level: confidence in all that is called sure at once, and of an interval that stands by itself.
    method: "sequential" where scoring stopped on what it saw.
    beta: the weight of R in the D + beta R that is reported.
    warnings: what a reader of any output must know, such as models that do not quite compare.
    failures: models that gave no scores, by name, with the reason.
    origin: when, where and by what command; None once read back from a document.
    images: (N, H, W) booleans; client: open while pictures may still be drawn. Both None once read back
    from a document.
    """

    models: tuple[ModelInfo, ...]
    scores: tuple[Score, ...]
    example_ids: NDArray[np.uint64]
    data: ScoredData
    seed: int = 0
    n_samples: int = 1
    labels: NDArray[np.int64] | None = None
    level: float = 0.95
    beta: float = 1.0
    method: Method = "t"
    warnings: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    images: NDArray[np.bool_] | None = field(default=None, repr=False)
    client: Client | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.models) != len(self.scores):
            raise InputError(f"{len(self.models)} models but {len(self.scores)} scores")
        if len(set(self.names)) < len(self.names):
            raise InputError(f"each model once, got {', '.join(self.names)}")
        per_example = {"labels": self.labels, "images": self.images}
        sizes = {name: len(values) for name, values in per_example.items() if values is not None}
        sizes |= {info.name: len(s.rate_nats) for info, s in zip(self.models, self.scores, strict=True)}
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

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)

    def some(self, rows: Rows | slice) -> "Comparison":
        """The same of these examples only, views where `rows` is a slice; without images and client."""
        return replace(
            self,
            scores=tuple(rows_of(score, rows) for score in self.scores),
            example_ids=self.example_ids[rows],
            labels=None if self.labels is None else self.labels[rows],
            images=None,
            client=None,
        )

    def score(self, name: str) -> Score:
        """Raises InputError where no model of that name was scored."""
        if name not in self.names:
            raise InputError(f"no model {name!r} in the comparison; there are {', '.join(self.names)}")
        return self.scores[self.names.index(name)]

    # What follows is computed by modules that stand on this one, hence imported on use.

    @cached_property
    def findings(self) -> "Analysis":
        """All that is said of it: rows, pairs, frontier, who is dominated."""
        from rdserve.compare.analysis.analysis import analyse

        return analyse(self)

    @property
    def pairs(self) -> "Pairs":
        """Every two models, a before b: their paired differences and preference."""
        return self.findings.pairs

    @cached_property
    def verdict(self) -> str:
        """One paragraph: who is better, by how much, for which beta, and what stays open."""
        from rdserve.compare.render.verdict import verdict

        return verdict(self.findings)

    def table(self, width: int = 100) -> str:
        """The models along the frontier, and their differences to the best, as text."""
        from rdserve.compare.render.terminal import as_text

        return as_text(self.findings, width)

    def figure(self) -> "Figure":
        """The rate-distortion plane, a matplotlib figure."""
        from rdserve.compare.render.figures.plane import rd_plane
        from rdserve.compare.render.formatting import warned

        return rd_plane(self.findings.scene, title=self.findings.title, warning=warned(self.warnings))

    def report(self, path: "Path | str") -> "Path":
        """Write the report, one self-contained HTML file, and return its path."""
        from pathlib import Path

        from rdserve.compare.render.html import report

        report.write(self, Path(path))
        return Path(path)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a line per model and example. Raises ImportError without pandas."""
        import pandas

        columns: dict[str, Any] = {"example_id": self.example_ids}
        if self.labels is not None:
            columns |= {"label": self.labels}
        frames = [
            pandas.DataFrame(
                {"model": info.name} | columns | {name: getattr(score, name) for name in _COLUMNS}
            )
            for info, score in zip(self.models, self.scores, strict=True)
        ]
        return pandas.concat(frames, ignore_index=True)


def rows_of(score: Score, rows: Rows | slice) -> Score:
    """Some examples of a score."""
    return Score(**{name: getattr(score, name)[rows] for name in _ARRAYS}, rate_is_exact=score.rate_is_exact)


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Everything but origin, images and client, as what `encoding.text` takes: arrays stay arrays."""
    return {
        "schema": SCHEMA,
        "units": "nats per example, summed over pixels and latents",
        "data": asdict(comparison.data) | {"n": comparison.n},
        "seed": comparison.seed,
        "n_samples": comparison.n_samples,
        "level": comparison.level,
        "method": comparison.method,
        "beta": comparison.beta,
        "warnings": list(comparison.warnings),
        "failures": dict(comparison.failures),
        "example_ids": comparison.example_ids,
        "labels": comparison.labels,
        "models": [
            {"info": asdict(info), "rate_is_exact": score.rate_is_exact}
            | {name: getattr(score, name) for name in _ARRAYS}
            for info, score in zip(comparison.models, comparison.scores, strict=True)
        ],
    }


def from_document(document: Mapping[str, Any]) -> Comparison:
    """The comparison that `to_document` wrote, without origin, images and client.

    Raises:
        InputError: another schema, or a field that is missing or of another type.
    """
    if document.get("schema") != SCHEMA:
        raise InputError(f"expected schema {SCHEMA!r}, the file says {document.get('schema')!r}")
    try:
        return _comparison(document)
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(f"not a document of {SCHEMA}: {type(error).__name__}: {error}") from error


def _comparison(document: Mapping[str, Any]) -> Comparison:
    models: Sequence[Mapping[str, Any]] = document["models"]
    data = {name: str(document["data"][name]) for name in ("name", "split", "sha256")}
    labels = document["labels"]
    return Comparison(
        models=tuple(_INFO.validate_python(model["info"]) for model in models),
        scores=tuple(_score(model) for model in models),
        example_ids=np.array(document["example_ids"], np.uint64),
        data=ScoredData(**data),
        seed=int(document["seed"]),
        n_samples=int(document["n_samples"]),
        labels=None if labels is None else np.array(labels, np.int64),
        level=float(document["level"]),
        beta=float(document["beta"]),
        method=document["method"],
        warnings=tuple(document["warnings"]),
        failures=dict(document["failures"]),
    )


def _score(model: Mapping[str, Any]) -> Score:
    arrays = {name: np.array(model[name], np.float64) for name in _ARRAYS}
    return Score(**arrays, rate_is_exact=bool(model["rate_is_exact"]))
