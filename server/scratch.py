"""Temporary folders of this service, and the removal of those that services which were killed left behind."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "rdserve-"
# Locked for as long as its service lives; the kernel unlocks it, however that ends.
LOCK = "lock"


class Scratch:
    """A private folder, from its making to `remove`."""

    def __init__(self, prefix: str = PREFIX) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        # Under another name until it is locked: who sweeps takes an unlocked lock for a dead service's.
        new = self.folder / f"{LOCK}.new"
        self._lock = os.open(new, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.folder / LOCK)

    def remove(self) -> None:
        """Remove the folder with all that is in it; once more does nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep() -> list[Path]:
    """Remove what dead services of this user left in the temporary folder; what was removed.

    A folder without a lock, another user's, or one whose lock is held is left alone.
    """
    swept = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                swept.append(folder)
            finally:
                os.close(lock)
    return swept
