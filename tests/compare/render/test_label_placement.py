import numpy as np
import pytest
from rdserve.compare.render.figures.label_placement import Boxes, Surroundings, nearest, overlaps, place

FRAME = np.array([[0.0, 0.0, 1000.0, 800.0]])
NO_LINES = np.zeros((0, 2))


def marks(anchors: np.ndarray) -> Boxes:  # type: ignore[type-arg]
    return np.concatenate([anchors - 8, anchors + 8], axis=1)


@pytest.mark.parametrize("spread", [15.0, 60.0, 400.0])
@pytest.mark.parametrize("seed", range(3))
def test_eighteen_labels_cover_nothing(spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    anchors = np.clip(np.array([500.0, 400.0]) + spread * rng.normal(size=(18, 2)), 20, 780)
    sizes = np.stack([rng.uniform(30, 110, 18), np.full(18, 18.0)], axis=1)
    boxes = place(anchors, sizes, Surroundings(FRAME, marks(anchors), NO_LINES))
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], sizes)
    assert np.triu(overlaps(boxes, boxes), 1).sum() == 0
    assert overlaps(boxes, marks(anchors)).sum() == 0
    assert overlaps(boxes, FRAME)[:, 0] == pytest.approx(sizes.prod(1))


def test_a_lone_label_sits_close_at_the_upper_right() -> None:
    anchor = np.array([[500.0, 400.0]])
    box = place(anchor, np.array([[60.0, 18.0]]), Surroundings(FRAME, marks(anchor), NO_LINES))[0]
    assert box[0] > 500
    assert box[1] > 400
    assert np.hypot(*(nearest(box, anchor[0]) - anchor[0])) < 30


def test_a_label_keeps_off_a_line_when_it_can() -> None:
    anchor = np.array([[500.0, 400.0]])
    line = np.stack([np.arange(500.0, 700.0, 4.0), np.full(50, 412.0)], axis=1)
    box = place(anchor, np.array([[60.0, 18.0]]), Surroundings(FRAME, marks(anchor), line))[0]
    inside = ((line >= box[:2]) & (line <= box[2:])).all(1)
    assert not inside.any()


def test_overlap_is_the_common_area() -> None:
    a = np.array([[0.0, 0.0, 2.0, 2.0]])
    b = np.array([[1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 2.0]])
    assert overlaps(a, b).tolist() == [[1.0, 0.0, 4.0]]
