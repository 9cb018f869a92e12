"""Writing a comparison down: JSON, CSV, and the two plane. See docs/comparison.md for the schema."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.client.results import Reconstruction
from rdserve.compare import plane, sheet
from rdserve.compare.frontier import coordinates, entropy_bound
from rdserve.compare.rows import Row
from rdserve.compare.scene import of_rows

Images = NDArray[np.bool_]

SCHEMA = "rdserve-comparison/1"
JSON, CSV, PLANE, SHEET = "comparison.json", "comparison.csv", "rd-plane.png", "reconstructions.png"

DEFINITIONS = {
    "rate_nats": "mean over examples of KL(e(z|x) || m(z)), or of its estimate from n_samples of e(z|x)",
    "distortion_nats": "mean over examples of -log d(x|z), z from e(z|x), summed over pixels",
    "elbo_nats": "-(rate_nats + distortion_nats)",
    "importance_bound_nats": "mean of log (1/K) sum_k m(z_k) d(x|z_k) / e(z_k|x), K = n_samples",
    "*_standard_error_nats": "over examples; that of elbo_nats is of the per-example sums",
}


@dataclass(frozen=True)
class Provenance:
    """What the numbers depend on besides the models: the first n examples of a split, and the noise."""

    data_name: str
    data_split: str
    data_sha256: str
    n: int
    seed: int
    n_samples: int


@dataclass(frozen=True)
class Pictures:
    """images (M, H, W) of the data and, per model, their reconstructions."""

    images: Images
    reconstructions: Mapping[str, Reconstruction]


def write_report(folder: Path, rows: Sequence[Row], about: Provenance, pictures: Pictures) -> list[Path]:
    """Write the four files, creating the folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in (JSON, CSV, PLANE, SHEET)]
    what = f"{about.data_name} ({about.data_split}, {about.n} images)"
    paths[0].write_text(to_json(rows, about))
    write_csv(paths[1], rows)
    count = f"{len(rows)} model{'s' if len(rows) > 1 else ''}"
    plane.save(plane.rd_plane(of_rows(rows, [None] * len(rows)), title=f"{count} on {what}"), paths[2])
    title = f"Reconstructions of {about.data_name} ({about.data_split})"
    headers = sheet.headers(rows)
    drawn = sheet.reconstruction_sheet(pictures.images, pictures.reconstructions, headers, title=title)
    plane.save(drawn, paths[3])
    return paths


def to_json(rows: Sequence[Row], about: Provenance) -> str:
    """The comparison as JSON text. Values that are not finite are null: one example has no standard error."""
    document = {
        "schema": SCHEMA,
        "units": "nats per example, summed over pixels and latents",
        "definitions": DEFINITIONS,
        "data": {
            "name": about.data_name,
            "split": about.data_split,
            "sha256": about.data_sha256,
            "n": about.n,
        },
        "seed": about.seed,
        "n_samples": about.n_samples,
        "best_rate_plus_distortion_nats": entropy_bound(coordinates(rows)),
        "models": [_finite(asdict(row)) for row in rows],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line per model; columns as the JSON's fields, empty where a value is not finite."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(_finite(asdict(row)) for row in rows)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
