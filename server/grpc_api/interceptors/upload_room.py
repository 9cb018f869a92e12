"""Room for messages: the bound on what the front holds of them.

Sizes are not known in advance, so a message that is coming counts as the largest that is allowed, and from
its arrival to the end of its call as what it is. Small ones are here within a millisecond; they hardly wait.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Any, TypeVar

from rdserve.server.errors import Overloaded
from rdserve.wire.limits import MAX_MESSAGE_BYTES, MIB

Message = TypeVar("Message")


class UploadState(Enum):
    """What a message counts as: the largest there may be, its size, nothing."""

    COMING = "coming"
    HERE = "here"
    EVICTED = "evicted"


@dataclass(eq=False)
class Upload:
    """One message. reader: the task that reads it, where it can be given up."""

    size: int = MAX_MESSAGE_BYTES
    begun: float = field(default_factory=monotonic)
    state: UploadState = UploadState.COMING
    reader: "asyncio.Task[Any] | None" = None


class UploadRoom:
    """Two policies where there is no room. Eviction: the oldest message that has been coming for `slow`
    seconds gives way. Waiting: for `patience` seconds, and who waits longest is served last: in a flood of
    calls whose messages never come, one that has one is next.

    most: for how many of the largest messages there is room.
    """

    def __init__(self, most: int, *, slow: float, patience: float) -> None:
        self.most = most
        self._slow = slow
        self._patience = patience
        self._coming: dict[Upload, None] = {}  # oldest first
        self._bytes = 0
        self._waiting: list[asyncio.Future[Upload]] = []

    @property
    def free(self) -> float:
        """For how many of the largest."""
        return self.most - self._bytes / MAX_MESSAGE_BYTES

    @property
    def full(self) -> Overloaded:
        """The error that says so."""
        return Overloaded(
            f"{self._bytes / MIB:.0f} MiB of messages are here or on their way, at most "
            f"{self.most * MAX_MESSAGE_BYTES / MIB:.0f} may be"
        )

    async def enter(self) -> Upload:
        """A message may come. Raises Overloaded where there was no room before patience ended."""
        if self.free >= 1:
            return self._admit()
        turn: asyncio.Future[Upload] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await self._wait_for(turn, monotonic() + self._patience)
            return turn.result()
        except asyncio.CancelledError:
            if turn.done():
                self.leave(turn.result())
            raise
        finally:
            if not turn.done():
                self._waiting.remove(turn)

    async def take(self, upload: Upload, coming: Coroutine[Any, Any, Message]) -> Message:
        """What `coming` reads, which may have to give way. Raises Overloaded where it did."""
        upload.reader = reader = asyncio.create_task(coming)
        try:
            return await reader
        except asyncio.CancelledError:
            if upload.state is UploadState.EVICTED:
                raise self.full from None
            raise
        finally:
            upload.reader = None  # it holds what came

    def arrive(self, upload: Upload, size: int) -> None:
        """It is here, so large."""
        upload.state = UploadState.HERE
        self._count(upload, size)

    def leave(self, upload: Upload) -> None:
        """Its call is over."""
        self._count(upload, 0)

    async def _wait_for(self, turn: asyncio.Future[Upload], end: float) -> None:
        """Until it is this one's turn. Raises Overloaded as `enter`."""
        while not turn.done():
            now = monotonic()
            oldest = next((upload for upload in self._coming if upload.reader), None)
            due = oldest.begun + self._slow if oldest else end
            if oldest and due <= now:
                self._evict(oldest)
            elif end <= now:
                raise self.full
            else:
                await asyncio.wait([turn], timeout=min(due, end) - now)

    def _admit(self) -> Upload:
        upload = Upload()
        self._coming[upload] = None
        self._bytes += upload.size
        return upload

    def _evict(self, upload: Upload) -> None:
        self._count(upload, 0)
        if upload.reader and upload.reader.cancel():
            upload.state = UploadState.EVICTED

    def _count(self, upload: Upload, size: int) -> None:
        self._coming.pop(upload, None)
        self._bytes += size - upload.size
        upload.size = size
        while self._waiting and self.free >= 1:
            self._waiting.pop().set_result(self._admit())
