"""The calls under way: counted, and refused once the service stops."""

import asyncio
import contextlib
from collections.abc import Iterator

from rdserve.server.errors import Stopping


class ActiveCalls:
    """Counts the calls under way; once closed, new ones are refused."""

    def __init__(self) -> None:
        self._count = 0
        self._open = True
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def track(self) -> Iterator[None]:
        """A call is under way while this is open.

        Raises:
            Stopping: `close` was called.
        """
        if not self._open:
            raise Stopping
        self._count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    def close(self) -> None:
        """Refuse new calls."""
        self._open = False

    async def wait_idle(self) -> None:
        """Return when no call is under way."""
        await self._idle.wait()
