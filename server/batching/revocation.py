"""How a worker learns that nobody waits for its answer.

While it computes it listens to nobody. Each call therefore carries the name of a file that is not there; a
worker looks for it between two rows of pixels, and gives up where it has appeared.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Revocation:
    """Of one call. name: its file's; empty where the call cannot be revoked."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.name = str(file or "")

    def revoke(self) -> None:
        """Nobody waits any more. Nothing happens where the call is over."""
        if self._file is not None:
            self._file.touch()

    def over(self) -> None:
        """The call was answered."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        self._file = None


class Revocations:
    """Of all calls, in a folder that the workers can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def of_call(self) -> Iterator[Revocation]:
        """Open while the call is under way."""
        revocation = Revocation(self._folder / f"{uuid.uuid4().hex}.revoked")
        try:
            yield revocation
        finally:
            revocation.over()
