"""The rate-distortion plane in the pixels of an inline SVG: what its template writes down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rdserve.compare.key import parts
from rdserve.compare.labels import Surroundings, dotted, nearest, needs_leader, place
from rdserve.compare.scene import Scene, iso_ends, label, labelled

Float64 = NDArray[np.float64]

WIDTH, HEIGHT = 760.0, 560.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 744.0, 14.0, 512.0
# Of the label's monospaced font, and of the small one along iso-ELBO lines.
CHARACTER, LINE, NOTE_CHARACTER = 7.3, 15.0, 5.6
REACH = 10.0  # of a mark, from its middle

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
    """A model's shape (an SVG path about its middle), its region's outline, its name, a line between them."""

    x: float
    y: float
    shape: str
    style: str
    region: str
    name: Text | None
    leader: str


@dataclass(frozen=True)
class Drawing:
    """Everything in pixels; paths as SVG's `points`. ticks: words at their place along each axis."""

    rate_ticks: Sequence[Text]
    distortion_ticks: Sequence[Text]
    levels: Sequence[tuple[str, Text]]
    steps: str
    hull: str
    best: str
    marks: Sequence[Mark]


def draw(scene: Scene) -> Drawing:
    """The drawing of a scene."""
    to = _Pixels(scene.low, scene.high)
    levels = [_level(level, scene, to) for level in scene.levels]
    steps, hull, best = (to(path) for path in (scene.steps, scene.hull, scene.diagonal))
    names, leaders = _names(scene, to, [text for _, text in levels], [steps, hull, best])
    return Drawing(
        rate_ticks=_rate_ticks(scene, to),
        distortion_ticks=_distortion_ticks(scene, to),
        levels=levels,
        steps=points(steps),
        hull=points(hull),
        best=points(best),
        marks=_marks(scene, to, names, leaders),
    )


def _marks(scene: Scene, to: "_Pixels", names: dict[int, Text], leaders: dict[int, str]) -> list[Mark]:
    middles = to(scene.points)
    return [
        Mark(
            x=float(middles[index, 0]),
            y=float(middles[index, 1]),
            shape=SHAPES[parts(row.family)[2]],
            style=style(row.family),
            region=points(to(ellipse.outline())) if ellipse else "",
            name=names.get(index),
            leader=leaders.get(index, ""),
        )
        for index, (row, ellipse) in enumerate(zip(scene.rows, scene.ellipses, strict=True))
    ]


def _rate_ticks(scene: Scene, to: "_Pixels") -> list[Text]:
    ticks = np.array(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(scene.low[0], scene.high[0]))
    places = [float(x) for x in to.x(ticks)]
    return [Text(x, BOTTOM + 17, number(r)) for r, x in zip(ticks, places, strict=True) if LEFT <= x <= RIGHT]


def _distortion_ticks(scene: Scene, to: "_Pixels") -> list[Text]:
    ticks = np.array(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(scene.low[1], scene.high[1]))
    places = [float(y) for y in to.y(ticks)]
    return [Text(LEFT - 8, y, number(d)) for d, y in zip(ticks, places, strict=True) if TOP <= y <= BOTTOM]


def style(family: str) -> str:
    """Classes of a mark: lightness tells the decoder, fill the encoder."""
    encoder, decoder, _ = parts(family)
    return f"mark {'complex' if decoder == '+' else 'simple'} {'filled' if encoder == '+' else 'open'}"


def points(path: Iterable[Iterable[float]]) -> str:
    """A path (L, 2) as SVG's `points`."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in path)


def number(value: float) -> str:
    """Short, with a true minus sign; no minus zero."""
    return f"{round(float(value), 9) + 0.0:g}".replace("-", "−")


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


def _level(level: float, scene: Scene, to: _Pixels) -> tuple[str, Text]:
    """An iso-ELBO line, and its words just above its lower right end."""
    ends = to(iso_ends(level, scene.low, scene.high))
    along = (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0]))
    words = f"ELBO {number(-level)}"
    middle = ends[1] - along * (len(words) * NOTE_CHARACTER / 2 + 10) + np.array([along[1], -along[0]]) * 7
    return points(ends), Text(
        float(middle[0]), float(middle[1]), words, float(np.degrees(np.arctan2(along[1], along[0])))
    )


def _names(
    scene: Scene, to: _Pixels, written: Sequence[Text], paths: Sequence[Float64]
) -> tuple[dict[int, Text], dict[int, str]]:
    """By position of the row: its label where nothing else is; the leader to it if not close."""
    chosen = labelled(scene.rows)
    words = [label(scene.rows[index], scene.rows) for index in chosen]
    everywhere = to(scene.points)
    sizes = np.array([[len(word) * CHARACTER, LINE] for word in words])
    boxes = place(everywhere[chosen], sizes, _surroundings(everywhere, written, paths))
    names, leaders = {}, {}
    for index, word, box in zip(chosen, words, boxes, strict=True):
        x, y = (box[:2] + box[2:]) / 2
        names[index] = Text(float(x), float(y), word)
        if needs_leader(box, everywhere[index], everywhere):
            leaders[index] = points([everywhere[index], nearest(box, everywhere[index])])
    return names, leaders


def _surroundings(everywhere: Float64, written: Sequence[Text], paths: Sequence[Float64]) -> Surroundings:
    marks = np.concatenate([everywhere - REACH, everywhere + REACH], axis=1)
    notes = [_extent(text) for text in written]
    frame = np.array([[LEFT, TOP, RIGHT, BOTTOM]])
    return Surroundings(frame, np.array([*marks, *notes]), np.concatenate([dotted(path) for path in paths]))


def _extent(text: Text) -> Float64:
    """The box around turned words."""
    turn = np.radians(text.angle)
    long, high = len(text.words) * NOTE_CHARACTER, 9.0
    half = np.abs([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [long, high] / 2
    return np.array([text.x - half[0], text.y - half[1], text.x + half[0], text.y + half[1]])
