"""The figures hold what they should, and the same input draws the same bytes."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from points import CROWDED, rows_at
from rdserve.client.results import Reconstruction, Sample
from rdserve.compare import plane, sheet


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("n", [1, 2, 18])
def test_every_model_is_named_once(n: int) -> None:
    rows = rows_at(CROWDED[:n])
    written = texts(plane.rd_plane(rows, title="models"))
    assert sorted(written[-n:]) == sorted(plane.label(row, rows) for row in rows)


def test_labels_of_a_crowd_do_not_overlap() -> None:
    figure = plane.rd_plane(rows_at(CROWDED))
    names = figure.axes[0].texts[-len(CROWDED) :]
    boxes = [name.get_window_extent() for name in names]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_models_with_one_tuple_and_beta_go_by_name() -> None:
    rows = rows_at([(1, 1), (2, 2)])
    assert [plane.label(row, rows) for row in rows] == ["---", "--+"]
    assert [plane.label(row, [*rows, rows[0]]) for row in rows] == ["m0", "--+"]


def test_a_single_example_has_no_interval_to_draw() -> None:
    plane.rd_plane(rows_at([(1, 2), (2, 1)], n=1))


def test_equal_input_makes_equal_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plane.save_png(plane.rd_plane(rows_at(CROWDED), title="models"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


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
    plane.save_png(figure, tmp_path / "samples.png")
    width, height = struct.unpack(">II", (tmp_path / "samples.png").read_bytes()[16:24])
    assert min(width, height) > 300
