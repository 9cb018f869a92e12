import numpy as np
import pytest
from points import CROWDED, comparison_at
from rdserve.compare.render.figures.layout import plane_layout
from rdserve.compare.render.formatting import number, shortened
from rdserve.compare.render.html.svg_plane import BOTTOM, LEFT, RIGHT, TOP, draw


def xy(points: str) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([[float(value) for value in pair.split(",")] for pair in points.split()])


@pytest.mark.parametrize("count", [1, 2, 18])
def test_marks_and_regions_lie_in_the_frame(count: int) -> None:
    drawing = draw(plane_layout(comparison_at(CROWDED[:count]).analysis))
    assert len(drawing.marks) == count
    for mark in drawing.marks:
        around = np.concatenate([xy(mark.region), [[mark.x, mark.y]]])
        assert (around >= [LEFT, TOP]).all()
        assert (around <= [RIGHT, BOTTOM]).all()


def test_pixels_follow_the_axes() -> None:
    found = plane_layout(comparison_at([(1, 9), (8, 2)]).analysis)
    first, second = draw(found).marks
    assert first.x < second.x
    assert first.y < second.y  # less distortion is lower on the page
    scale = (second.x - first.x) / (found.points[1] - found.points[0])[0]
    assert draw(found).rate_ticks
    for tick in draw(found).rate_ticks:
        value = float(tick.words.replace("−", "-"))
        assert tick.x == pytest.approx(first.x + scale * (value - found.points[0, 0]))


def test_the_best_lies_on_the_dashed_line() -> None:
    found = plane_layout(comparison_at(CROWDED).analysis)
    drawing = draw(found)
    start, end = xy(drawing.best)
    best = drawing.marks[int(found.points.sum(1).argmin())]
    along, away = end - start, np.array([best.x, best.y]) - start
    assert abs(along[0] * away[1] - along[1] * away[0]) / np.hypot(*along) < 0.2


def test_numbers_have_true_signs() -> None:
    assert [number(value) for value in (-1.5, 0.0, -0.0, 20)] == ["−1.5", "0", "0", "20"]


def test_a_long_name_keeps_its_ends() -> None:
    assert shortened("short", 24) == "short"
    assert shortened("digits-with-a-very-long-name-v17", 24) == "digits-with…ong-name-v17"
    assert len(shortened("x" * 100, 24)) <= 24
