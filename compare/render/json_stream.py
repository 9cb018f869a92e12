"""JSON of documents whose arrays are too long to become lists: a stretch at a time."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdserve.compare.stretches import stretches


def text(value: Any, indent: str = "") -> Iterator[str]:
    """A document as JSON, in parts. Arrays (N,) are written as lists; what is not finite is null.

    indent: a line end and the blanks after it, which grow inwards; nothing keeps all on one line.
    """
    if isinstance(value, np.ndarray):
        yield from _array(value)
    elif isinstance(value, Mapping):
        named = ((f"{json.dumps(name)}: ", entry) for name, entry in value.items())
        yield from _enclosed("{}", named, indent)
    elif isinstance(value, list | tuple):
        # Numbers share a line, and so does an entry without arrays: of pairs there may be very many.
        deep = indent if any(isinstance(entry, Mapping) for entry in value) else ""
        yield from _enclosed("[]", (("", _line(entry) or entry) for entry in value), deep)
    elif isinstance(value, _Line):
        yield value
    elif isinstance(value, float):
        yield json.dumps(value) if math.isfinite(value) else "null"
    else:
        yield json.dumps(value)


class _Line(str):
    """JSON already."""


def _line(entry: Any) -> _Line | None:
    """A mapping at once, which is many times as fast; None where it holds arrays, or what is not finite."""
    if not isinstance(entry, Mapping):
        return None
    try:
        return _Line(json.dumps(entry, allow_nan=False, separators=(",", ": ")))
    except (TypeError, ValueError):
        return None


def _enclosed(brackets: str, entries: Iterator[tuple[str, Any]], indent: str) -> Iterator[str]:
    inner = f"{indent} " if indent else ""
    yield brackets[0]
    for position, (name, entry) in enumerate(entries):
        yield f"{',' if position else ''}{inner}{name}"
        yield from text(entry, inner)
    yield f"{indent}{brackets[1]}"


def _array(values: NDArray[Any]) -> Iterator[str]:
    yield "["
    for rows in stretches(len(values)):
        part = values[rows]
        entries = part.tolist()
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            entries = [entry if math.isfinite(entry) else None for entry in entries]
        yield ("," if rows.start else "") + json.dumps(entries, separators=(",", ":"))[1:-1]
    yield "]"
