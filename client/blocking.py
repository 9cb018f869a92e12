"""Coroutines run where there is no event loop, or one that must not be used: in threads, scripts, notebooks.

Over `BlockingTransport` a coroutine never suspends, so it is done when it was begun.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. Raises RuntimeError where it suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("an event loop is needed here; use AsyncClient")


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """What an asynchronous generator yields; it is closed when the iteration ends."""
    try:
        while True:
            try:
                item = run(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(items.aclose())


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The method of `Client` that runs this one of `BaseClient`."""

    @wraps(method)
    def call(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(client._base, *args, **kwargs))

    return call


def iterating(
    method: Callable[Concatenate[Any, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Any, P], Generator[T, None, None]]:
    """The method of `Client` that iterates over this one of `BaseClient`."""

    @wraps(method)
    def call(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return iterate(method(client._base, *args, **kwargs))

    return call
