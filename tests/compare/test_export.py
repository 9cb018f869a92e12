"""Every file of a comparison: there, right, and signed."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from drawn import pictures_of
from PIL import Image
from points import CROWDED, comparison_at
from rdserve.compare import export
from rdserve.compare.comparison import Comparison
from rdserve.compare.render import markup
from rdserve.compare.score_document import from_document

NAMES = {
    "report.html",
    "comparison.json",
    "comparison.csv",
    "comparison.csv-metadata.json",
    "examples.csv",
    "examples.csv-metadata.json",
    "rd-plane.svg",
    "rd-plane.png",
    "reconstructions.png",
    "table.tex",
    "table.md",
}
SCHEMA = json.loads(resources("rdserve.compare.render").joinpath("comparison.schema.json").read_text())


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparison_at(CROWDED[:4], labels=True)


@pytest.fixture(scope="module")
def folder(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("files") / "new" / "folder"
    paths = export.write_all(comparison.analysis, pictures_of(comparison), out)
    assert {path.name for path in paths} == NAMES == {path.name for path in out.iterdir()}
    return out


def test_without_pictures_there_is_no_sheet(comparison: Comparison, tmp_path: Path) -> None:
    paths = export.write_all(comparison.analysis, None, tmp_path)
    assert {path.name for path in paths} == NAMES - {"reconstructions.png"}


def test_every_file_is_signed(comparison: Comparison, folder: Path) -> None:
    line = comparison.analysis.signature
    for name in ("report.html", "comparison.json", "examples.csv-metadata.json", "table.tex", "table.md"):
        assert line in (folder / name).read_text(), name
    for name in ("rd-plane.png", "reconstructions.png"):
        assert Image.open(folder / name).text["Description"] == line  # type: ignore[attr-defined]
    drawing = ElementTree.parse(folder / "rd-plane.svg")
    assert [found.text for found in drawing.iter("{http://purl.org/dc/elements/1.1/}description")] == [line]


@pytest.mark.slow
def test_every_file_warns(comparison: Comparison, tmp_path: Path) -> None:
    words = "not comparable: different likelihoods: m0 bernoulli but m1 gaussian"
    warned = replace(comparison, warnings=(words,)).analysis
    for path in export.write_all(warned, pictures_of(comparison), tmp_path):
        if path.suffix not in (".csv", ".png"):  # columns; drawn as the SVG is
            assert words in path.read_text(), path.name
    plain = export.write_all(comparison.analysis, pictures_of(comparison), tmp_path / "plain")
    for path in plain:
        if path.suffix == ".png":
            assert path.read_bytes() != (tmp_path / path.name).read_bytes()


@pytest.mark.parametrize(("models", "n"), [(1, 1), (1, 9), (2, 1), (2, 2), (5, 30)])
def test_json_keeps_to_its_schema(models: int, n: int) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads("".join(export.to_json(comparison_at(CROWDED[:models], n=n).analysis)))
    jsonschema.validate(document, SCHEMA)


def test_the_schema_notices_what_is_missing_or_wrong(comparison: Comparison) -> None:
    document = json.loads("".join(export.to_json(comparison.analysis)))
    for field, value in (("schema", "other/1"), ("signature", "two\nlines"), ("seed", -1), ("models", [])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | {field: value}, SCHEMA)
    for field in SCHEMA["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: part for name, part in document.items() if name != field}, SCHEMA)


def test_json_and_csv_hold_the_examples(comparison: Comparison, folder: Path) -> None:
    document = json.loads((folder / export.JSON).read_text())
    again = from_document(document["examples"])
    with (folder / export.EXAMPLES).open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * comparison.n
    for name in comparison.names:
        own = [line for line in lines if line["model"] == name]
        score = comparison.score(name)
        np.testing.assert_array_equal([float(line["rate_nats"]) for line in own], score.rate_nats)
        np.testing.assert_array_equal([float(line["elbo_nats"]) for line in own], score.elbo_nats)
        np.testing.assert_array_equal(again.score(name).distortion_nats, score.distortion_nats)
        assert [int(line["example_id"]) for line in own] == comparison.example_ids.tolist()
        assert [int(line["label"]) for line in own] == comparison.labels.tolist()  # type: ignore[union-attr]


def test_a_line_per_model(comparison: Comparison, folder: Path) -> None:
    with (folder / export.CSV).open() as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert list(lines) == [row.name for row in comparison.analysis.rows]
    for row in comparison.analysis.rows:
        assert int(lines[row.name]["n"]) == comparison.n
        assert float(lines[row.name]["rate_nats"]) == row.rate_nats
        assert float(lines[row.name]["elbo_standard_error_nats"]) == row.elbo_standard_error_nats


@pytest.mark.parametrize("name", [export.CSV, export.EXAMPLES])
def test_the_columns_are_described_beside(folder: Path, name: str) -> None:
    about = json.loads((folder / f"{name}{export.ABOUT}").read_text())
    header = (folder / name).read_text().splitlines()[0].split(",")
    assert [column["name"] for column in about["tableSchema"]["columns"]] == header
    assert about["url"] == name


def test_tables_say_what_the_rows_say(comparison: Comparison, folder: Path) -> None:
    for name in ("table.tex", "table.md"):
        text = (folder / name).read_text()
        for row in comparison.analysis.rows:
            assert f"{row.rate_nats:.2f}" in text
            assert f"{row.distortion_standard_error_nats:.2f}" in text
    rows = re.findall(r"^(.*&.*) \\\\$", (folder / "table.tex").read_text(), re.MULTILINE)
    assert len(rows) == 1 + 4
    assert all(row.count("&") == 6 for row in rows)


def test_a_model_that_ignores_its_code_is_marked_in_every_file(tmp_path: Path) -> None:
    both = comparison_at([(0.02, 18), (5, 14)], noise=0.1)
    export.write_all(both.analysis, pictures_of(both), tmp_path)
    document = json.loads((tmp_path / export.JSON).read_text())
    assert {model["name"]: model["collapsed"] for model in document["models"]} == {"m0": True, "m1": False}
    for name in ("table.md", "table.tex", "rd-plane.svg", "report.html"):
        assert "ignores its code" in (tmp_path / name).read_text(), name
    used = replace(both, models=both.models[1:], scores=both.scores[1:]).analysis
    assert "ignores its code" not in markup.to_markdown(used) + markup.to_latex(used)


def test_a_name_breaks_no_table(comparison: Comparison) -> None:
    strange = replace(comparison.models[0], name="a|b_c & 50% \\x {$^~}\n`<b>`")
    odd = replace(comparison, models=(strange, *comparison.models[1:])).analysis
    escaped = r"a|b\_c \& 50\% \textbackslash{}x \{\$\textasciicircum{}\textasciitilde{}\} "
    assert escaped + r"`\textless{}b\textgreater{}`" in markup.to_latex(odd)
    line = next(
        line for line in markup.to_markdown(odd).splitlines() if r"a\|b\_c" in line and line[0] == "|"
    )
    assert len(re.findall(r"(?<!\\)\|", line)) == 8
    assert r"\<b\>" in line
