"""Files from the network, checked before anyone sees them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import urlopen

from rdserve.data.dataset import Progress
from rdserve.data.errors import DataError

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Remote:
    """A file and what it must be."""

    url: str
    n_bytes: int
    sha256: str


def fetch(remotes: Sequence[Remote], progress: Progress | None = None) -> Iterator[bytes]:
    """The content of each file in turn; `progress` counts over all of them.

    Raises:
        DataError: no connection, or other bytes than expected.
    """
    total = sum(remote.n_bytes for remote in remotes)
    before = 0
    for remote in remotes:
        content = _fetch(remote, before, total, progress)
        found = hashlib.sha256(content).hexdigest()
        if found != remote.sha256:
            raise DataError(
                f"{remote.url}: expected sha256 {remote.sha256}, got {found} ({len(content)} bytes)"
            )
        before += len(content)
        yield content


def _fetch(remote: Remote, before: int, total: int, progress: Progress | None) -> bytes:
    content = bytearray()
    try:
        with urlopen(remote.url, timeout=_TIMEOUT_SECONDS) as reply:
            # One chunk past the expected end is enough to see that a file is too long.
            while len(content) <= remote.n_bytes and (chunk := reply.read(_CHUNK)):
                content += chunk
                if progress:
                    progress(before + len(content), total)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{remote.url}: {error}. Without a network, put the file in a folder and name the folder "
            "with --data-root or RDSERVE_DATA"
        ) from error
    return bytes(content)
