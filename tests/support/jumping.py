"""A fake clock: hours pass while nobody waits for them."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Where a loop would wait for its next timer, the time is then."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        self.now += 0 if ready else timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock begins at 0, stands still while there is anything to do, and else jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(story: Coroutine[Any, Any, Result]) -> Result:
    """What comes of it, in such a loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(story)
