"""What was found of a comparison as JSON: `comparison.json`, and the data inside the report.

compare/comparison.schema.json describes it for machines, docs/comparison.md for people.
"""

import math
from dataclasses import asdict
from typing import Any

from rdserve.compare import comparison as examples
from rdserve.compare.findings import Findings
from rdserve.compare.pairs import Pair
from rdserve.compare.signature import ids_sha256

SCHEMA = "rdserve-comparison/2"
# Where the report keeps the document: `<script type="application/json" id="comparison">`.
DATA_ID = "comparison"

DEFINITIONS = {
    "rate_nats": "mean over examples of KL(e(z|x) || m(z)), or of its estimate from n_samples of e(z|x)",
    "distortion_nats": "mean over examples of -log d(x|z), z from e(z|x), summed over pixels",
    "elbo_nats": "-(rate_nats + distortion_nats)",
    "importance_bound_nats": "mean of log (1/K) sum_k m(z_k) d(x|z_k) / e(z_k|x), K = n_samples",
    "*_standard_error_nats": "over examples; that of elbo_nats is of the per-example sums",
    "pairs": "mean over examples of a's value minus b's, with the same noise; negative favours a",
    "pairs.total": "of rate_nats + distortion_nats",
    "pairs.weighted": "of distortion_nats + beta rate_nats, beta as in `examples`",
    "pairs.adjusted_p": "of `total`, by Holm over all pairs",
}


def to_document(findings: Findings) -> dict[str, Any]:
    """As `json.dumps(..., allow_nan=False)` takes it: what is not finite is null."""
    comparison = findings.comparison
    document = {
        "schema": SCHEMA,
        "signature": findings.signature,
        "units": "nats per example, summed over pixels and latents",
        "definitions": DEFINITIONS,
        "data": asdict(comparison.data) | {"n": comparison.n, "example_ids_sha256": ids_sha256(comparison)},
        "seed": comparison.seed,
        "n_samples": comparison.n_samples,
        "level": comparison.level,
        "warnings": list(comparison.warnings),
        "failures": dict(comparison.failures),
        "best_rate_plus_distortion_nats": findings.scene.entropy,
        "models": [
            asdict(row) | {"dominated_by": findings.dominated_by.get(row.name)} for row in findings.scene.rows
        ],
        "pairs": [_pair(one) for one in findings.pairs],
        "examples": examples.to_document(comparison),
    }
    finite: dict[str, Any] = _finite(document)
    return finite


def _pair(pair: Pair) -> dict[str, Any]:
    document = asdict(pair)
    # JSON has no infinity: a stretch without an end has none.
    document["preference"] = {
        "crossing": pair.preference.crossing,
        "stretches": [asdict(stretch) for stretch in pair.preference.stretches],
    }
    return document


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
