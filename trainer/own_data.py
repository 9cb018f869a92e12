"""What a config must know of binary images that are no data set with defaults: their size and their hash."""

from pathlib import Path
from typing import Any

from rdserve.data import SPLITS, DataError, Source, read
from rdserve.data.preprocessing import NONE, Step, from_words, words

# The sides that a card allows, pixels.
LEAST, MOST = 4, 256
ELSEWHERE = "Models of other data are trained elsewhere and come in by export"


def steps_of(preprocess: str) -> tuple[Step, ...]:
    """Of a config's words.

    Raises:
        DataError: they are no steps.
    """
    steps = from_words(preprocess)
    if steps is None:
        raise DataError(
            f"preprocess is written as `threshold=8`, several with ' then ' between: {preprocess!r}"
        )
    return steps


def settings_of(data: str, preprocess: str = NONE, root: Path | None = None) -> dict[str, Any]:
    """The fields of a `Config` that own images decide.

    Raises:
        DataError: no such data, a split that is missing, or something else than binary images of 4 to 256
            pixels a side.
    """
    source = read(data, root=root, steps=steps_of(preprocess))
    height, width = images_shape(source)
    require_splits(source)
    return {
        "image_size": height,
        "image_width": None if width == height else width,
        "preprocess": words(source.steps),
        "data_sha256": source.sha256,
    }


def images_shape(source: Source) -> tuple[int, int]:
    """Height and width of its binary images.

    Raises:
        DataError: it holds something else, or images of a size that no card allows.
    """
    try:
        height, width = source.split(next(iter(source.x))).images.shape[1:]
    except DataError as error:
        raise DataError(f"{error}. {ELSEWHERE}") from None
    if not LEAST <= min(height, width) <= max(height, width) <= MOST:
        raise DataError(
            f"{source.name} holds {height}x{width} images, a side has {LEAST} to {MOST} pixels. {ELSEWHERE}"
        )
    return height, width


def require_splits(source: Source) -> None:
    """Raises DataError where a split is missing."""
    if missing := [split for split in SPLITS if split not in source.x]:
        raise DataError(
            f"training needs the splits {', '.join(SPLITS)}; {source.name} holds {', '.join(source.x)} "
            f"and no {', '.join(missing)}"
        )
