"""What was found of a comparison as JSON: `comparison.json`, and the data inside the report.

compare/render/comparison.schema.json describes it for machines, docs/comparison.md for people.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from rdserve.compare import score_document
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.analysis.contrasts import QUANTITIES
from rdserve.compare.analysis.pairs import Pairs
from rdserve.compare.analysis.recipes import Recipes, RecipeSummary
from rdserve.compare.analysis.signature import ids_sha256
from rdserve.compare.analysis.sweeps import Sweep
from rdserve.compare.scores import ScoreSet
from rdserve.compare.statistics.bound_gap import Tightness
from rdserve.compare.statistics.preference import Preference

SCHEMA = "rdserve-comparison/2"
# Where the report keeps the document: `<script type="application/json" id="comparison">`.
DATA_ID = "comparison"

DEFINITIONS = {
    "rate_nats": "mean over examples of KL(e(z|x) || m(z)), or of its estimate from n_samples of e(z|x)",
    "distortion_nats": "mean over examples of -log d(x|z), z from e(z|x), summed over pixels",
    "elbo_nats": "-(rate_nats + distortion_nats)",
    "importance_bound_nats": "mean of log (1/K) sum_k m(z_k) d(x|z_k) / e(z_k|x), K = n_samples",
    "models.tightness": "gap: of importance_bound_nats over elbo_nats, at most that of log p(x); "
    "effective_samples of the n_samples, and on what share of the examples these are few (fewer than 2): "
    "there more samples would raise the bound",
    "*_standard_error_nats": "over examples; that of elbo_nats is of the per-example sums",
    "data.n_groups": "groups of examples that depend on one another, of which errors, intervals and tests "
    "are then (cluster-robust); null where each example is independent of all others",
    "pairs": "mean over examples of a's value minus b's, with the same noise; negative favours a",
    "pairs.total": "of rate_nats + distortion_nats",
    "pairs.weighted": "of distortion_nats + beta rate_nats, beta as in `examples`",
    "pairs.interval, pairs.p_value": "each by itself at `level`, as if no other were looked at",
    "pairs.reach": "within so many standard errors of their means all differences of all pairs, and all "
    "their D + beta R, lie together with probability `level` (less what is left to the classes)",
    "pairs.preference": "answers that hold together for all beta and all pairs, by `reach`",
    "pairs.adjusted_p": "of `total`, by Holm over all pairs",
    "pairs.identified": "whether the difference in ELBO exceeds both models' gaps of `tightness`; else these "
    "may make it. null for one sample, which shows no gap",
    "models.dominated_by": "a model surely lower in both R and D, by `pairs.reach`",
    "classes": "of D + beta R within each class, each model's minus the reference's; Holm over all of them, "
    "of which those below a fifth of 1 - `level` are called sure; by recipe, a fifth of that",
    "recipes": "models whose training differs in the seed alone are runs of one recipe; means over runs and "
    "images, with standard errors over both; null where models alone are compared",
    "recipes.*_between_runs_nats": "standard deviation from run to run, without what these images add",
    "recipes.pairs": "a's mean minus b's over runs and images; interval and p_value each by itself at "
    "`level`; together: hold all at once, with probability recipes.level; from_runs, from_images: standard "
    "errors",
    "recipes.pairs.adjusted_p": "of `weighted`, by Holm over all pairs of recipes",
    "curves.sweeps": "models of one family over beta; excess: area between their hull and D = H - R",
    "curves.gaps": "Bjontegaard's means over what both curves reach: how much more b needs than a",
}

# Lines of per-image values, one per image and model, that a report holds at most: some 15 MB of it.
REPORT_LINES = 200_000


def in_report(scored: ScoreSet) -> int:
    """How many images' values a report holds."""
    return min(scored.n, max(1, REPORT_LINES // len(scored.models)))


def to_document(analysis: Analysis, *, n: int | None = None) -> dict[str, Any]:
    """As `json_stream.text` takes it.

    n: of how many images, evenly spread, `examples` holds the values; it says in `part_of` how many there
    are. All where it is None.
    """
    scored = analysis.scored
    return {
        "schema": SCHEMA,
        "signature": analysis.signature,
        "units": "nats per example, summed over pixels and latents",
        "definitions": DEFINITIONS,
        "data": scored.data.document()
        | {"n": scored.n, "n_groups": scored.n_groups, "example_ids_sha256": ids_sha256(scored)},
        "seed": scored.seed,
        "n_samples": scored.n_samples,
        "level": scored.level,
        "warnings": list(scored.warnings),
        "failures": dict(scored.failures),
        "best_rate_plus_distortion_nats": analysis.best_total,
        "models": [
            asdict(row)
            | {"dominated_by": analysis.dominated_by.get(row.name), "collapsed": row.collapsed}
            | {"tightness": _tightness(analysis.tightness.get(row.name))}
            for row in analysis.rows
        ],
        "pairs": _pairs(analysis.pairs),
        "classes": _classes(analysis),
        "recipes": None if analysis.recipes is None else _recipes(analysis.recipes),
        "curves": {
            "sweeps": [_sweep(one) for one in analysis.sweeps],
            "gaps": [asdict(one) for one in analysis.gaps],
        },
        "examples": _examples(scored, scored.n if n is None else n),
    }


def _examples(scored: ScoreSet, n: int) -> dict[str, Any]:
    if n == scored.n:
        return score_document.to_document(scored)
    rows = np.linspace(0, scored.n - 1, n).round().astype(np.int64)
    return score_document.to_document(scored, rows) | {"part_of": scored.n}


def _tightness(found: Tightness | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "gap_nats": found.gap.value,
        "gap_standard_error_nats": found.gap.standard_error,
        "effective_samples": found.effective_samples,
        "few_effective_share": found.thin,
    }


def _classes(analysis: Analysis) -> dict[str, Any] | None:
    if (found := analysis.classes) is None:
        return None
    return {
        "reference": found.reference,
        "labels": list(found.labels),
        "sizes": list(found.sizes),
        "reference_weighted_nats": list(found.costs),
        "models": [
            {
                "name": name,
                "weighted": [asdict(one) for one in found.differences[name]],
                "adjusted_p": list(found.adjusted[name]),
            }
            for name in found.differences
        ],
    }


def _recipes(found: Recipes) -> dict[str, Any]:
    return {
        "level": found.level,
        "recipes": [_recipe(row) for row in found.rows],
        "pairs": [asdict(pair) for pair in found.pairs],
    }


def _recipe(row: RecipeSummary) -> dict[str, Any]:
    one, document = row.recipe, dict[str, Any]()
    for name, mean in (("rate", row.rate), ("distortion", row.distortion), ("total", row.total)):
        document |= {f"{name}_nats": mean.value, f"{name}_standard_error_nats": mean.standard_error}
    between = zip(("rate", "distortion", "total"), row.between_runs, strict=True)
    return {
        "name": one.name,
        "models": list(one.models),
        "seeds": list(one.seeds),
        "differs_in": dict(one.facts),
        **document,
        **{f"{name}_between_runs_nats": deviation for name, deviation in between},
    }


def _sweep(sweep: Sweep) -> dict[str, Any]:
    return asdict(sweep) | {"excess": sweep.excess._asdict()}


def _pairs(pairs: Pairs) -> list[dict[str, Any]]:
    """As `asdict` of each, from arrays."""
    quantities = [_differences(pairs, which) for which in range(len(QUANTITIES))]
    rest = zip(
        map(_preference, pairs.preferences),
        pairs.reach.tolist(),
        pairs.adjusted_p.tolist(),
        pairs.identified,
        strict=True,
    )
    return [
        dict(zip(("a", "b"), pairs.names(at), strict=True))
        | dict(zip(QUANTITIES, differences, strict=True))
        | dict(zip(("preference", "reach", "adjusted_p", "identified"), others, strict=True))
        for at, (differences, others) in enumerate(zip(zip(*quantities, strict=True), rest, strict=True))
    ]


def _differences(pairs: Pairs, which: int) -> Iterator[dict[str, Any]]:
    """One quantity of all pairs."""
    of, (low, high), level = pairs.contrasts, pairs.intervals, pairs.scored.level
    columns = (of.mean, of.error, low, high, pairs.p_values, of.wins, of.losses)
    for mean, error, left, right, p, wins, losses in zip(*(x[which].tolist() for x in columns), strict=True):
        yield {
            "mean": mean,
            "standard_error": error,
            "interval": [left, right],
            "p_value": p,
            "level": level,
            "n": of.n,
            "wins": wins,
            "ties": of.n - wins - losses,
            "losses": losses,
        }


def _preference(found: Preference) -> dict[str, Any]:
    # JSON has no infinity: a stretch without an end has none.
    return {
        "crossing": found.crossing,
        "stretches": [
            {"low": s.low, "high": None if math.isinf(s.high) else s.high, "answer": s.answer}
            for s in found.stretches
        ],
    }
