"""The figures hold what they should, and the same input draws the same bytes."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from points import CROWDED, comparison_at, rows_at
from rdserve.client.results import Reconstruction, Sample
from rdserve.compare.render.figures import plane, sheet
from rdserve.compare.render.figures.layout import labelled, plane_layout
from rdserve.compare.render.formatting import label


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("n", [1, 2, 18])
def test_every_model_is_named_once(n: int) -> None:
    drawn = plane_layout(comparison_at(CROWDED[:n]).analysis)
    written = texts(plane.rd_plane(drawn, title="models"))
    assert sorted(written[-n:]) == sorted(label(row, drawn.rows) for row in drawn.rows)


def test_of_a_crowd_the_frontier_is_named() -> None:
    drawn = plane_layout(comparison_at([(0.5 * k, 30 - 0.5 * k + k % 2) for k in range(60)]).analysis)
    named = [drawn.rows[index] for index in labelled(drawn.rows)]
    assert len(named) == 12
    assert all(row.on_frontier for row in named)
    written = texts(plane.rd_plane(drawn))
    assert sorted(written[-len(named) :]) == sorted(row.name for row in named)


def test_labels_of_a_crowd_do_not_overlap() -> None:
    figure = plane.rd_plane(plane_layout(comparison_at(CROWDED).analysis))
    names = figure.axes[0].texts[-len(CROWDED) :]
    boxes = [name.get_window_extent() for name in names]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_models_with_one_tuple_and_beta_go_by_name() -> None:
    rows = rows_at([(1, 1), (2, 2)])
    assert [label(row, rows) for row in rows] == ["---", "--+"]
    assert [label(row, [*rows, rows[0]]) for row in rows] == ["m0", "--+"]


def test_a_single_example_has_no_interval_to_draw() -> None:
    plane.rd_plane(plane_layout(comparison_at([(1, 2), (2, 1)], n=1).analysis))


@pytest.mark.slow
def test_equal_input_makes_equal_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        figure = plane.rd_plane(plane_layout(comparison_at(CROWDED).analysis), title="models")
        plane.save(figure, tmp_path / name, "what made it")
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_name_is_no_formula_and_a_family_need_not_be_the_papers() -> None:
    odd = comparison_at([(1, 2), (2, 1)])
    strange = replace(odd.models[0], name="$\\frac{", family="hierarchical")
    drawn = plane_layout(replace(odd, models=(strange, odd.models[1])).analysis)
    written = texts(plane.rd_plane(drawn, title="$\\frac{"))
    assert "hierarchical" in written


def reconstruction(n: int, k: int = 5) -> Reconstruction:
    images = np.random.default_rng(0).integers(0, 2, (n, k, 8, 8), dtype=np.uint8)
    return Reconstruction(np.zeros((n, 4), np.float32), images)


@pytest.mark.parametrize(("n_models", "n_panels"), [(1, 1), (6, 1), (7, 2), (18, 3)])
def test_the_sheet_wraps_and_repeats_the_data(n_models: int, n_panels: int) -> None:
    rows = rows_at(CROWDED[:n_models])
    data = np.zeros((4, 8, 8), bool)
    drawn = {row.name: reconstruction(4) for row in rows}
    figure = sheet.reconstruction_sheet(data, drawn, sheet.headers(rows), title="sheet")
    written = texts(figure)
    assert written.count("data") == n_panels
    assert written.count("sample") == written.count("mean of 5") == n_models
    assert len(figure.axes[0].images) == 4 * (n_panels + 2 * n_models)


def test_the_sheet_shows_the_first_sample_and_the_mean_as_ink() -> None:
    rows = rows_at([(1, 1)])
    drawn = reconstruction(1)
    figure = sheet.reconstruction_sheet(drawn.images[:, 0], {"m0": drawn}, sheet.headers(rows))
    data, first, mean = (np.asarray(image.get_array()) for image in figure.axes[0].images)
    np.testing.assert_array_equal(data, 1 - drawn.images[0, 0])
    np.testing.assert_array_equal(first, 1 - drawn.images[0, 0])
    np.testing.assert_allclose(mean, 1 - drawn.images[0].mean(0))


def test_samples_have_no_data_column(tmp_path: Path) -> None:
    drawn = reconstruction(3)
    figure = sheet.sample_sheet({"a": Sample(drawn.latents, drawn.images)}, {"a": "a\nb"}, title="a")
    assert "data" not in texts(figure)
    plane.save(figure, tmp_path / "samples.png")
    width, height = struct.unpack(">II", (tmp_path / "samples.png").read_bytes()[16:24])
    assert min(width, height) > 300
