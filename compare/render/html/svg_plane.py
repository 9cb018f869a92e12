"""The rate-distortion plane in the pixels of an inline SVG: what its template writes down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rdserve.compare.render.figures.label_placement import (
    Boxes,
    Surroundings,
    dotted,
    nearest,
    needs_leader,
    overlaps,
    place,
)
from rdserve.compare.render.figures.layout import CROWD, PlaneLayout, iso_ends, labelled
from rdserve.compare.render.figures.legend import parts
from rdserve.compare.render.formatting import label, number

Float64 = NDArray[np.float64]

WIDTH, HEIGHT = 760.0, 572.0
LEFT, RIGHT, TOP, BOTTOM = 78.0, 744.0, 14.0, 504.0

SHAPES = {
    "-": "M-6.2 0a6.2 6.2 0 1 0 12.4 0a6.2 6.2 0 1 0 -12.4 0z",
    "+": "M-5.6 -5.6h11.2v11.2h-11.2z",
    "v": "M0 -7.4L7.4 0L0 7.4L-7.4 0z",
    "?": "M0 -7L7 5.6L-7 5.6z",
}


@dataclass(frozen=True)
class Text:
    """Words at (x, y), their middle; turned by `angle` degrees."""

    x: float
    y: float
    words: str
    angle: float = 0.0


@dataclass(frozen=True)
class Mark:
    """A model's shape (an SVG path about its middle) and its region's outline."""

    x: float
    y: float
    shape: str
    style: str
    region: str


@dataclass(frozen=True)
class Lettering:
    """How large words are: those of names in a monospaced font, and the small ones along iso-ELBO lines.

    character, line: width and height of a name's sign; note: width of a small one. reach: of a mark, from its
    middle. names: at most so many models are named, along the frontier.
    """

    character: float
    line: float
    note: float
    reach: float
    names: int


# On a page of full width the drawing's pixels are the screen's; on a telephone two or more are one.
WIDE = Lettering(character=7.3, line=15.0, note=5.6, reach=10.0, names=CROWD)
NARROW = Lettering(character=14.6, line=28.0, note=12.6, reach=16.0, names=6)


@dataclass(frozen=True)
class Words:
    """What is written in one lettering: levels along their lines, names, and leaders from names to marks."""

    levels: Sequence[Text]
    names: Sequence[Text]
    leaders: Sequence[str]


@dataclass(frozen=True)
class SvgPlane:
    """Everything in pixels; paths as SVG's `points`. ticks: words at their place along each axis.

    words: by CSS class, of which a page shows one.
    """

    rate_ticks: Sequence[Text]
    distortion_ticks: Sequence[Text]
    levels: Sequence[str]
    steps: str
    hull: str
    best: str
    marks: Sequence[Mark]
    words: Mapping[str, Words]


def draw(layout: PlaneLayout) -> SvgPlane:
    """A layout in pixels."""
    to = _Pixels(layout.low, layout.high)
    paths = steps, hull, best = tuple(to(path) for path in (layout.steps, layout.hull, layout.diagonal))
    levels = [to(iso_ends(level, layout.low, layout.high)) for level in layout.levels]
    return SvgPlane(
        rate_ticks=_rate_ticks(layout, to),
        distortion_ticks=_distortion_ticks(layout, to),
        levels=[points(ends) for ends in levels],
        steps=points(steps),
        hull=points(hull),
        best=points(best),
        marks=_marks(layout, to),
        words={
            name: _words(layout, to(layout.points), levels, paths, lettering)
            for name, lettering in (("wide", WIDE), ("narrow", NARROW))
        },
    )


def _marks(layout: PlaneLayout, to: "_Pixels") -> list[Mark]:
    middles = to(layout.points)
    return [
        Mark(
            x=float(middles[index, 0]),
            y=float(middles[index, 1]),
            shape=SHAPES[parts(row.family)[2]],
            style=style(row.family),
            region=points(to(ellipse.outline())) if ellipse else "",
        )
        for index, (row, ellipse) in enumerate(zip(layout.rows, layout.ellipses, strict=True))
    ]


def _rate_ticks(layout: PlaneLayout, to: "_Pixels") -> list[Text]:
    ticks = np.array(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(layout.low[0], layout.high[0]))
    places = [float(x) for x in to.x(ticks)]
    return [Text(x, BOTTOM + 17, number(r)) for r, x in zip(ticks, places, strict=True) if LEFT <= x <= RIGHT]


def _distortion_ticks(layout: PlaneLayout, to: "_Pixels") -> list[Text]:
    ticks = np.array(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(layout.low[1], layout.high[1]))
    places = [float(y) for y in to.y(ticks)]
    return [Text(LEFT - 8, y, number(d)) for d, y in zip(ticks, places, strict=True) if TOP <= y <= BOTTOM]


def style(family: str) -> str:
    """Classes of a mark: lightness tells the decoder, fill the encoder."""
    encoder, decoder, _ = parts(family)
    return f"mark {'complex' if decoder == '+' else 'simple'} {'filled' if encoder == '+' else 'open'}"


def points(path: Iterable[Iterable[float]]) -> str:
    """A path (L, 2) as SVG's `points`."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in path)


class _Pixels:
    """From nats to pixels; SVG's y points down."""

    def __init__(self, low: Float64, high: Float64) -> None:
        self.low, self.scale = low, np.array([RIGHT - LEFT, BOTTOM - TOP]) / (high - low)

    def __call__(self, path: Float64) -> Float64:
        return np.stack([self.x(path[:, 0]), self.y(path[:, 1])], axis=1)

    def x(self, rate: Float64) -> Float64:
        return np.asarray(LEFT + (rate - self.low[0]) * self.scale[0], np.float64)

    def y(self, distortion: Float64) -> Float64:
        return np.asarray(BOTTOM - (distortion - self.low[1]) * self.scale[1], np.float64)


def _words(
    layout: PlaneLayout,
    marks: Float64,
    levels: Sequence[Float64],
    paths: Sequence[Float64],
    lettering: Lettering,
) -> Words:
    """marks (M, 2), levels and paths (L, 2): in pixels. Names lie where nothing else does."""
    around = np.concatenate([marks - lettering.reach, marks + lettering.reach], axis=1)
    written = [
        text
        for text in _level_words(layout.levels, levels, lettering)
        if not overlaps(_extent(text, lettering)[None], around).any()
    ]
    chosen = labelled(layout.rows, lettering.names)
    names = [label(layout.rows[index], layout.rows) for index in chosen]
    sizes = np.array([[len(name) * lettering.character, lettering.line] for name in names])
    boxes = place(marks[chosen], sizes, _surroundings(around, written, paths, lettering))
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    leaders = [
        points([mark, nearest(box, mark)])
        for mark, box in zip(marks[chosen], boxes, strict=True)
        if needs_leader(box, mark, marks)
    ]
    placed = [Text(x, y, name) for (x, y), name in zip(middles.tolist(), names, strict=True)]
    return Words(written, placed, leaders)


def _level_words(values: Sequence[float], levels: Sequence[Float64], lettering: Lettering) -> list[Text]:
    """The ELBO of each iso-ELBO line, just above its lower right end; not of too short a line."""
    found = []
    for value, (start, end) in zip(values, levels, strict=True):
        words, length = f"ELBO {number(-value)}", float(np.hypot(*(end - start)))
        long = len(words) * lettering.note
        if length < long + 20:
            continue
        along = (end - start) / length
        middle = end - along * (long / 2 + 10) + np.array([along[1], -along[0]]) * 1.25 * lettering.note
        angle = float(np.degrees(np.arctan2(along[1], along[0])))
        found.append(Text(float(middle[0]), float(middle[1]), words, angle))
    return found


def _surroundings(
    marks: Boxes, written: Sequence[Text], paths: Sequence[Float64], lettering: Lettering
) -> Surroundings:
    notes = [_extent(text, lettering) for text in written]
    frame = np.array([[LEFT, TOP, RIGHT, BOTTOM]])
    return Surroundings(frame, np.array([*marks, *notes]), np.concatenate([dotted(path) for path in paths]))


def _extent(text: Text, lettering: Lettering) -> Float64:
    """The box around turned words."""
    turn = np.radians(text.angle)
    long, high = len(text.words) * lettering.note, 1.6 * lettering.note
    half = np.abs([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [long, high] / 2
    return np.array([text.x - half[0], text.y - half[1], text.x + half[0], text.y + half[1]])
