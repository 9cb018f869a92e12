"""Who is inside, and closing the door behind them."""

import asyncio
import contextlib
from collections.abc import Iterator

from rdserve.server.errors import Stopping


class ActiveCalls:
    """Counts the calls under way; once closed, new ones are refused."""

    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """A call is under way while this is open.

        Raises:
            Stopping: the door is closed.
        """
        if not self._open:
            raise Stopping
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    def close(self) -> None:
        """Refuse new calls."""
        self._open = False

    async def empty(self) -> None:
        """Return when no call is under way."""
        await self._empty.wait()
