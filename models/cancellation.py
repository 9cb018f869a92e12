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
def abandoned_when(nobody_waits: Unwanted) -> Iterator[None]:
    """Within, `check` asks `nobody_waits`."""
    before = _UNWANTED.set(nobody_waits)
    try:
        yield
    finally:
        _UNWANTED.reset(before)


def unwanted() -> Unwanted:
    """How to find out, for who looks from another thread."""
    return _UNWANTED.get()


def check() -> None:
    """Raises Abandoned where nobody waits."""
    if unwanted()():
        raise Abandoned


def between(parts: Iterable[T]) -> Iterator[T]:
    """The parts, with a `check` before each."""
    for part in parts:
        check()
        yield part
