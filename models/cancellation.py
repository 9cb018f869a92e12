"""Work that ends early because nobody waits for it any more.

Who starts the work says how to find out; the work asks at its joints: between two passes through a network,
between two rows of pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Unwanted = Callable[[], bool]

_UNWANTED: ContextVar[Unwanted] = ContextVar("unwanted", default=lambda: False)


class Abandoned(Exception):
    """Nobody waits for this work."""


@contextmanager
def abandoned_when(unwanted: Unwanted) -> Iterator[None]:
    """Within, `check` asks `unwanted`."""
    before = _UNWANTED.set(unwanted)
    try:
        yield
    finally:
        _UNWANTED.reset(before)


def check() -> None:
    """Raises Abandoned where nobody waits."""
    if _UNWANTED.get()():
        raise Abandoned


def between(parts: Iterable[T]) -> Iterator[T]:
    """The parts, with a `check` before each."""
    for part in parts:
        check()
        yield part
