"""Placing text beside points so that nothing overlaps. Pure geometry, in pixels."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # (M, 4): left, bottom, right, top

N_ANGLES = 24
LEADER_DOTS = 12
# Price of a pixel of distance is 1. Text on text or on a mark is never worth it, text on a line seldom.
COVERED, CROSSED, STRUCK = 1000.0, 400.0, 3.0


@dataclass(frozen=True)
class Surroundings:
    """What labels should keep clear of: the frame's inside, marks and texts, drawn lines as dots (L, 2)."""

    frame: Boxes
    marks: Boxes
    lines: NDArray[np.float64]


def place(
    anchors: NDArray[np.float64],
    sizes: NDArray[np.float64],
    around: Surroundings,
    *,
    gap: float = 4.0,
    reach: float = 240.0,
) -> Boxes:
    """A box of each size (M, 2) near its anchor (M, 2): clear of marks and other boxes, close by, off lines.

    Crowded anchors choose first; each takes the cheapest place on rings of up to `reach` around it.
    """
    marks, boxes = around.marks, np.zeros((len(anchors), 4))
    leaders = np.zeros((0, 2))
    for index in _crowded_first(anchors):
        choices, distance = _candidates(anchors[index], sizes[index], gap, reach)
        dots = _leaders(anchors[index], choices)
        cost = distance + COVERED * _covered(choices, marks, around.frame)
        cost += CROSSED * (_inside(leaders, choices).sum(1) + _crossings(dots, marks))
        cost += STRUCK * _inside(around.lines, choices).sum(1)
        best = int(cost.argmin())
        boxes[index] = choices[best]
        marks = np.concatenate([marks, choices[best : best + 1] + gap / 2 * np.array([-1, -1, 1, 1])])
        leaders = np.concatenate([leaders, dots[best]])
    return boxes


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Area in common of every box of a (A, 4) with every one of b (B, 4): (A, B)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0.0), axis=-1), np.float64)


def nearest(box: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point of a box, or of boxes (..., 4), that is closest to a point (2,)."""
    return np.asarray(np.clip(point, box[..., :2], box[..., 2:]), np.float64)


def needs_leader(box: NDArray[np.float64], anchor: NDArray[np.float64], all_: NDArray[np.float64]) -> bool:
    """A label far from its mark does, and one nearly as close to another mark."""
    own = float(np.hypot(*(nearest(box, anchor) - anchor)))
    others = [np.hypot(*(nearest(box, other) - other)) for other in all_ if (other != anchor).any()]
    return own > 34 or (own > 18 and min(others, default=np.inf) < own + 16)


def dotted(path: NDArray[np.float64], step: float = 4.0) -> NDArray[np.float64]:
    """Points at most `step` pixels apart along a path (L, 2)."""
    pieces = [path[-1:]]
    for start, end in pairwise(path):
        n = 1 + int(np.hypot(*(end - start)) // step)
        pieces.append(start + (end - start) * np.linspace(0, 1, n, endpoint=False)[:, None])
    return np.concatenate(pieces)


def _crowded_first(anchors: NDArray[np.float64]) -> list[int]:
    apart = np.linalg.norm(anchors[:, None] - anchors[None], axis=-1)
    return [int(index) for index in np.argsort(-(1 / (1 + apart)).sum(1), kind="stable")]


def _candidates(
    anchor: NDArray[np.float64], size: NDArray[np.float64], gap: float, reach: float
) -> tuple[Boxes, NDArray[np.float64]]:
    """Boxes on rings around the anchor (C, 4), the upper right first, and their distance (C,)."""
    turns = np.array(sorted(range(N_ANGLES), key=lambda k: min(k, N_ANGLES - k)))
    angle = np.pi / 6 + 2 * np.pi / N_ANGLES * turns
    radius = np.arange(2.5 * gap, reach, gap)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    middle = anchor + direction * (radius[:, None, None] + size / 2)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=-1)
    return boxes.reshape(-1, 4), np.repeat(radius, N_ANGLES)


def _covered(boxes: Boxes, marks: Boxes, frame: Boxes) -> NDArray[np.float64]:
    """Area of each box (C,) that lies on marks or outside the frame."""
    area: NDArray[np.float64] = np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)
    outside = area - overlaps(boxes, frame)[:, 0]
    # A rounding error of area is not an overlap.
    covered: NDArray[np.float64] = overlaps(boxes, marks).sum(1)
    return covered + np.where(outside > 1e-6 * area, outside, 0.0)


def _leaders(anchor: NDArray[np.float64], boxes: Boxes) -> NDArray[np.float64]:
    """The line from the anchor to each box as dots (C, LEADER_DOTS, 2)."""
    end = nearest(boxes, anchor)
    along = np.linspace(0, 1, LEADER_DOTS, endpoint=False)[:, None]
    return anchor + (end - anchor)[:, None] * along


def _inside(points: NDArray[np.float64], boxes: Boxes) -> NDArray[np.bool_]:
    """Which points (P, 2) lie in which boxes (C, 4): (C, P)."""
    (left, bottom, right, top), (x, y) = boxes.T[:, :, None], points.T
    return np.asarray((x >= left) & (x <= right) & (y >= bottom) & (y <= top), np.bool_)


def _crossings(dots: NDArray[np.float64], marks: Boxes) -> NDArray[np.int64]:
    """How many dots of each leader (C, D, 2) lie on marks; those near the anchor's own mark do not count."""
    far = dots[:, LEADER_DOTS // 3 :]
    hits = _inside(far.reshape(-1, 2), marks).any(0).reshape(far.shape[:2])
    return np.asarray(hits.sum(1), np.int64)
