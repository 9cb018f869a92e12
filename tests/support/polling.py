"""Waiting for what announces itself by no event."""

import time
from collections.abc import Callable

LONG_SECONDS = 120.0


def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; it must."""
    end = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
