"""The study's figures hold what they should."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from rdserve.study.categories import Categorised, categorise
from rdserve.study.figures import planes, sheets
from rdserve.study.zoo_scores import ScoredModel
from studied import BLIND, run_at, runs_at

PLACES = [
    ("-+v", 1.1, 0.0, 80.6),
    ("-+v", 1.0, 6.2, 74.1),
    ("+-v", 1.0, 25.8, 57.7),
    ("-+v", 0.1, 156.0, 4.8),
]
RUNS = [run_at(place) for place in PLACES]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def categorised(runs: list[ScoredModel]) -> list[Categorised]:
    return [categorise(run, BLIND) for run in runs]


def images(runs: list[ScoredModel], k: int = 5) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    return {run.name: rng.integers(0, 2, (4, k, 8, 8), dtype=np.uint8) for run in runs}


def test_every_model_has_its_header_and_every_group_its_category() -> None:
    data = np.zeros((4, 8, 8), bool)
    figure = sheets.draw(categorised(RUNS), images(RUNS), data=data, title="title")
    written = texts(figure)
    for words in ("autodecoder", "semantic\nencoder", "syntactic\nencoder", "autoencoder"):
        assert written.count(words) == 1
    for words in ("β = 1.1", "(6.2, 74.1)", "ELBO −83.5", "-+v", "+-v"):
        assert words in written
    assert written.count("data") == 1
    assert written.count("sample") == written.count("average") == 4
    rules = [line for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1]
    assert len(rules) == 3  # between four categories


def test_one_category_spans_its_models_without_a_rule() -> None:
    runs = [run_at(("-++", 1.0, 0.0, 80.0 + k), name=str(k)) for k in range(3)]
    figure = sheets.draw(categorised(runs), images(runs))
    assert texts(figure).count("autodecoder") == 1
    assert not figure.axes[0].lines
    assert "data" not in texts(figure)


def test_the_first_sample_and_the_average_of_all() -> None:
    drawn = images(RUNS[:1])
    shown = sheets.draw(categorised(RUNS[:1]), drawn).axes[0].images
    (only,) = drawn.values()
    np.testing.assert_array_equal(np.asarray(shown[0].get_array()), 1 - only[0, 0])
    np.testing.assert_allclose(np.asarray(shown[4].get_array()), 1 - only[0].mean(0))


@pytest.mark.parametrize(("n", "panels"), [(7, 1), (8, 2), (13, 2)])
def test_many_models_wrap_and_repeat_the_data(n: int, panels: int) -> None:
    runs = [run_at(("-++", 1.0, 0.0, 80.0 + k), name=str(k)) for k in range(n)]
    figure = sheets.draw(categorised(runs), images(runs), data=np.zeros((4, 8, 8), bool))
    assert texts(figure).count("data") == texts(figure).count("autodecoder") == panels
    assert len(figure.axes[0].images) == 4 * (panels + 2 * n)


def test_cost_against_rate_has_a_mark_at_every_model_near_the_best() -> None:
    figure = planes.cost_against_rate(runs_at(RUNS))
    marks = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    points = sorted((float(mark.get_xdata()[0]), float(mark.get_ydata()[0])) for mark in marks)
    np.testing.assert_allclose(points, [(0.0, 80.6), (6.2, 80.3), (25.8, 83.5)])
    assert any("1 further up left out" in text.get_text() for text in figure.texts)


def test_the_parts_have_a_frontier_for_each_choice() -> None:
    figure = planes.by_part(runs_at(RUNS))
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends == [
        ["-  Gaussian", "+  inverse autoregressive"],
        ["-  deconvolution", "+  autoregressive"],
        ["v  VampPrior"],
    ]


def test_the_plane_has_all() -> None:
    written = texts(planes.rate_distortion(runs_at(RUNS)))
    assert {"-+v", "-+v β1.1†", "-+v β0.1", "+-v"} <= set(written)
