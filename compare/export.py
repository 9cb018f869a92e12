"""Writing a comparison down: JSON, CSV, figures, tables, the report. docs/comparison.md describes them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render import json_stream, markup
from rdserve.compare.render.document import to_document
from rdserve.compare.render.figures import plane, sheet
from rdserve.compare.render.formatting import warned
from rdserve.compare.render.html import report
from rdserve.compare.scores import rows_of
from rdserve.compare.scoring.pictures import Pictures
from rdserve.compare.stretches import stretches

REPORT, JSON, CSV, EXAMPLES = "report.html", "comparison.json", "comparison.csv", "examples.csv"
ABOUT = "-metadata.json"  # what CSV on the Web puts beside a table
PLANE, SHEET, LATEX, MARKDOWN = "rd-plane", "reconstructions.png", "table.tex", "table.md"

Column = tuple[str, str, str]  # its name, its type in CSV on the Web, what it is

MODEL_COLUMNS: tuple[Column, ...] = (
    ("name", "string", "of the model"),
    ("family", "string", "encoder, decoder, marginal: the paper's tuple"),
    ("beta", "double", "weight of the rate in training"),
    ("n", "integer", "images"),
    ("n_samples", "integer", "posterior samples per image"),
    ("rate_nats", "double", "R, mean over images"),
    ("rate_standard_error_nats", "double", "over images"),
    ("distortion_nats", "double", "D, mean over images"),
    ("distortion_standard_error_nats", "double", "over images"),
    ("elbo_nats", "double", "-(R + D), mean over images"),
    ("elbo_standard_error_nats", "double", "of the per-image sums"),
    ("importance_bound_nats", "double", "lower bound on log p(x) from all samples, mean over images"),
    ("on_frontier", "boolean", "no other model has both R and D lower"),
    ("likelihood", "string", "law of the pixels"),
    ("weights_sha256", "string", "of the model's weights"),
)
EXAMPLE_COLUMNS: tuple[Column, ...] = (
    ("model", "string", "name of the model"),
    ("example_id", "integer", "with the seed, the name of the noise; the image's place in the split"),
    ("label", "integer", "class of the image, empty where none is known"),
    ("rate_nats", "double", "R of the image, nats"),
    ("distortion_nats", "double", "D of the image, nats"),
    ("elbo_nats", "double", "-(R + D), nats"),
    ("importance_bound_nats", "double", "lower bound on log p(x) from all samples, nats"),
    ("importance_ess", "double", "effective number of those samples"),
    ("group", "integer", "of images that depend on one another; empty where each is independent"),
)


Images = NDArray[Any]


def write_all(
    analysis: Analysis, pictures: Pictures | None, out: Path, images: Images | None = None
) -> list[Path]:
    """Write every file, creating the folder; returns their paths. Without pictures there is no sheet.

    images: (N, H, W), all that were scored, where they are at hand.
    """
    written = write_data(analysis, pictures, out, images)
    figure = plane.plane_of(analysis)
    for suffix in (".svg", ".png"):
        plane.save(figure, out / f"{PLANE}{suffix}", analysis.signature)
    (out / LATEX).write_text(markup.to_latex(analysis), encoding="utf-8")
    (out / MARKDOWN).write_text(markup.to_markdown(analysis), encoding="utf-8")
    names = [f"{PLANE}.svg", f"{PLANE}.png", LATEX, MARKDOWN]
    if pictures is not None and pictures.reconstructions:
        plane.save(_sheet(analysis, pictures), out / SHEET, analysis.signature)
        names.append(SHEET)
    return [*written, *(out / name for name in names)]


def write_data(
    analysis: Analysis, pictures: Pictures | None, out: Path, images: Images | None = None
) -> list[Path]:
    """The report, the JSON and the CSV files alone."""
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).write_text(report.render(analysis, pictures, images), encoding="utf-8")
    with (out / JSON).open("w", encoding="utf-8") as file:
        file.writelines(to_json(analysis))
    about = {"dc:description": analysis.signature}
    if warnings := analysis.scored.warnings:
        about["rdfs:comment"] = warned(warnings)
    write_table(out / CSV, MODEL_COLUMNS, _models(analysis), ["name"], about)
    write_table(out / EXAMPLES, EXAMPLE_COLUMNS, _examples(analysis), ["model", "example_id"], about)
    tables_ = [name + suffix for name in (CSV, EXAMPLES) for suffix in ("", ABOUT)]
    return [out / name for name in (REPORT, JSON, *tables_)]


def to_json(analysis: Analysis) -> Iterator[str]:
    """`comparison.json`, in parts. Values that are not finite are null: one example has no standard error."""
    yield from json_stream.text(to_document(analysis), "\n")
    yield "\n"


def write_table(
    path: Path,
    columns: Sequence[Column],
    lines: Iterable[Sequence[object]],
    key: list[str],
    made: Mapping[str, str],
) -> None:
    """A CSV file; beside it, what its columns are and how it was made (CSV on the Web)."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(name for name, _, _ in columns)
        writer.writerows(lines)
    about: dict[str, Any] = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": path.name,
        **made,
        "tableSchema": {
            "columns": [
                {"name": name, "datatype": kind, "dc:description": words} for name, kind, words in columns
            ],
            "primaryKey": key,
        },
    }
    beside = path.with_name(path.name + ABOUT)
    beside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _models(analysis: Analysis) -> Iterator[list[object]]:
    for row in analysis.rows:
        fields = asdict(row)
        yield [fields[name] for name, _, _ in MODEL_COLUMNS]


def _examples(analysis: Analysis) -> Iterator[tuple[object, ...]]:
    scored = analysis.scored
    for name, whole in zip(scored.names, scored.scores, strict=True):
        for rows in stretches(scored.n):
            ids, score = scored.example_ids[rows].tolist(), rows_of(whole, rows)
            labels = [""] * len(ids) if scored.labels is None else scored.labels[rows].tolist()
            groups = [""] * len(ids) if scored.group_ids is None else scored.group_ids[rows].tolist()
            values = [getattr(score, column).tolist() for column, _, _ in EXAMPLE_COLUMNS[3:-1]]
            yield from zip(repeat(name, len(ids)), ids, labels, *values, groups, strict=True)


def _sheet(analysis: Analysis, pictures: Pictures) -> Any:
    few, scored = pictures.representative, analysis.scored
    rows = [row for row in analysis.rows if row.name in pictures.reconstructions]
    drawn = {row.name: pictures.few(row.name) for row in rows}
    title = f"Reconstructions of {scored.data.name} ({scored.data.split})"
    warning = warned(scored.warnings)
    header = sheet.headers(rows)
    return sheet.reconstruction_sheet(pictures.images[few], drawn, header, title=title, warning=warning)
