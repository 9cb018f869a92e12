"""A service in this process, in a thread with a loop of its own: no Java, and no process to start."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rdserve.server.app import Server
from rdserve.server.settings import Settings

Result = TypeVar("Result")


class Front:
    """A service that serves from its making until `stop`. lines: what it has announced."""

    def __init__(self, models: Path, **settings: object) -> None:
        self.lines: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front")
        self._thread.start()
        given: dict[str, object] = {"models": models, "port": 0, "backend": "in-process", **settings}
        try:
            self._server = self._run(self._make(given))
        except BaseException:
            self._end()
            raise
        self.address: str = self._server.address
        self.http: str = self._server.http_address

    async def _make(self, given: dict[str, object]) -> Server:
        server = Server(Settings(**given), self.lines.append)  # type: ignore[arg-type]
        try:
            await server.start()
        except BaseException:
            await server.stop()
            raise
        return server

    def stop(self) -> None:
        """As SIGTERM: finish what is in flight, then end."""
        if self._thread.is_alive():
            self._run(self._server.stop())
            self._end()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
