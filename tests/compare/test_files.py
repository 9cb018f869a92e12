import csv
import json
from pathlib import Path

import numpy as np
import pytest
from points import CROWDED, rows_at
from rdserve.client.results import Reconstruction
from rdserve.compare import files
from rdserve.compare.rows import Row

ABOUT = files.Provenance("digits", "test", "f" * 64, n=50, seed=3, n_samples=1)


def report(folder: Path, rows: list[Row]) -> list[Path]:
    drawn = Reconstruction(np.zeros((2, 4), np.float32), np.zeros((2, 5, 8, 8), np.uint8))
    pictures = files.Pictures(np.zeros((2, 8, 8), bool), {row.name: drawn for row in rows})
    return files.write_report(folder, rows, ABOUT, pictures)


def test_the_report_is_four_files(tmp_path: Path) -> None:
    paths = report(tmp_path / "new" / "folder", rows_at(CROWDED))
    names = ["comparison.json", "comparison.csv", "rd-plane.png", "reconstructions.png"]
    assert [path.name for path in paths] == names
    assert all(path.stat().st_size for path in paths)


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    rows = rows_at(CROWDED)
    report(tmp_path, rows)
    document = json.loads((tmp_path / files.JSON).read_text())
    assert document["schema"] == "rdserve-comparison/1"
    assert document["data"] == {"name": "digits", "split": "test", "sha256": "f" * 64, "n": 50}
    assert (document["seed"], document["n_samples"]) == (3, 1)
    with (tmp_path / files.CSV).open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows) == len(document["models"])
    for row, model, line in zip(rows, document["models"], lines, strict=True):
        assert model == vars(row)
        assert {name: str(value) for name, value in model.items()} == line
        assert model["elbo_nats"] == pytest.approx(-(model["rate_nats"] + model["distortion_nats"]))


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    text = files.to_json(rows_at([(1, 2)], n=1), ABOUT)
    assert json.loads(text)["models"][0]["rate_standard_error_nats"] is None
    files.write_csv(tmp_path / "c.csv", rows_at([(1, 2)], n=1))
    with (tmp_path / "c.csv").open() as file:
        assert next(csv.DictReader(file))["rate_standard_error_nats"] == ""
