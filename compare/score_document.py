"""A `ScoreSet` as JSON: documents of the versioned schema `rdserve-comparison-data/1`.

docs/statistics.md lists the fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from rdserve.client.errors import InputError
from rdserve.client.results import ModelInfo, Score
from rdserve.compare.scores import ARRAYS, By, Rows, ScoredData, ScoreSet, rows_of
from rdserve.compare.statistics.intervals import Method
from rdserve.data.preprocessing import NONE

SCHEMA = "rdserve-comparison-data/1"

_INFO = TypeAdapter(ModelInfo)
_METHOD: TypeAdapter[Method] = TypeAdapter(Method)
_BY: TypeAdapter[By] = TypeAdapter(By)


def to_document(scored: ScoreSet, rows: Rows | slice = slice(None)) -> dict[str, Any]:
    """Everything but the origin, of these examples, as what `json_stream.text` takes: arrays stay arrays."""
    ids = scored.example_ids[rows]
    return {
        "schema": SCHEMA,
        "units": "nats per example, summed over pixels and latents",
        "data": scored.data.document() | {"n": len(ids)},
        "seed": scored.seed,
        "n_samples": scored.n_samples,
        "level": scored.level,
        "method": scored.method,
        "by": scored.by,
        "beta": scored.beta,
        "warnings": list(scored.warnings),
        "failures": dict(scored.failures),
        "example_ids": ids,
        "labels": None if scored.labels is None else scored.labels[rows],
        "group_ids": None if scored.group_ids is None else scored.group_ids[rows],
        "models": [
            {"info": asdict(info), "rate_is_exact": score.rate_is_exact}
            | {name: getattr(score, name) for name in ARRAYS}
            for info, score in zip(scored.models, (rows_of(s, rows) for s in scored.scores), strict=True)
        ],
    }


def from_document(document: Mapping[str, Any]) -> ScoreSet:
    """The scores that `to_document` wrote, without their origin.

    Raises:
        InputError: another schema, or a field that is missing or of another type.
    """
    if document.get("schema") != SCHEMA:
        raise InputError(f"expected schema {SCHEMA!r}, the file says {document.get('schema')!r}")
    try:
        return _scored(document)
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(f"not a document of {SCHEMA}: {type(error).__name__}: {error}") from error


def _scored(document: Mapping[str, Any]) -> ScoreSet:
    models: Sequence[Mapping[str, Any]] = document["models"]
    data = {name: str(document["data"][name]) for name in ("name", "split", "sha256")}
    labels, groups = document["labels"], document.get("group_ids")
    return ScoreSet(
        models=tuple(_INFO.validate_python(model["info"]) for model in models),
        scores=tuple(_score(model) for model in models),
        example_ids=np.array(document["example_ids"], np.uint64),
        data=ScoredData(**data, preprocessing=str(document["data"].get("preprocessing", NONE))),
        seed=int(document["seed"]),
        n_samples=int(document["n_samples"]),
        labels=None if labels is None else np.array(labels, np.int64),
        group_ids=None if groups is None else np.array(groups, np.int64),
        level=float(document["level"]),
        beta=float(document["beta"]),
        method=_METHOD.validate_python(document["method"]),
        by=_BY.validate_python(document.get("by", "model")),
        warnings=tuple(document["warnings"]),
        failures=dict(document["failures"]),
    )


def _score(model: Mapping[str, Any]) -> Score:
    arrays = {name: np.array(model[name], np.float64) for name in ARRAYS}
    return Score(**arrays, rate_is_exact=bool(model["rate_is_exact"]))
