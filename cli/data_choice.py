"""What --data and --preprocess say, and what models say of the data that they were trained on."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import typer
from rdserve.client import InputError
from rdserve.client.results import ModelInfo
from rdserve.data import Dataset, Step, read
from rdserve.data.preprocessing import from_words, parse_text, words

Shape = tuple[int, ...]


class Stated(NamedTuple):
    """A model's name, and how its training data became x: steps, where these words are some."""

    model: str
    words: str


def stated_by(models: Iterable[ModelInfo], shape: Shape) -> list[Stated]:
    """Of those that take x of this shape."""
    return [Stated(model.name, model.binarisation) for model in models if model.input_shape == shape]


def chosen(
    data: str,
    *,
    split: str,
    root: Path | None = None,
    preprocess: Sequence[str] | None = None,
    models: Callable[[Shape], Iterable[Stated]] | None = None,
    disagree: bool = False,
) -> Dataset:
    """A split of a data set, by name or path, after the steps of `--preprocess`; without any, after those
    that the models state, unless it is binary as it is.

    models: those in question, given the shape of x; asked only where it matters.
    disagree: let models state other steps than were asked for, with a line on stderr.

    Raises:
        InputError: models that state several steps, or others than were asked for.
        DataError, OSError: as `rdserve.data.read`.
    """
    source = read(data, root=root)
    said = tuple(map(parse_text, preprocess or ()))
    if models is None or (not said and source.kind == "binary"):
        return source.preprocessed(said).split(split)
    stated = {each.model: steps for each in models(source.shape) if (steps := from_words(each.words))}
    if not said:
        return source.preprocessed(_agreed(stated)).split(split)
    source = source.preprocessed(said)
    strangers = {model: steps for model, steps in stated.items() if steps != source.steps}
    if strangers:
        model, steps = next(iter(strangers.items()))
        line = (
            f"--preprocess says {words(source.steps)}, but model {model!r} was trained after {words(steps)}"
        )
        if not disagree:
            raise InputError(f"{line}. Leave --preprocess out, or the model")
        typer.echo(f"rdserve: warning: {line}", err=True)
    return source.split(split)


def _agreed(stated: dict[str, tuple[Step, ...]]) -> tuple[Step, ...]:
    distinct: dict[str, str] = {}
    for model, steps in stated.items():
        distinct.setdefault(words(steps), model)
    if len(distinct) > 1:
        sides = ", ".join(f"{model!r} after {done}" for done, model in distinct.items())
        raise InputError(f"models were trained on different x: {sides}. Choose models that agree")
    return next(iter(stated.values()), ())
