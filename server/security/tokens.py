"""Bearer tokens: kept as hashes, compared in constant time, never written anywhere."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from rdserve.server.security.secret_files import read_private
from rdserve.server.settings import SettingsError

MIN_CHARACTERS = 16
MAX_TOKENS = 1000
# RFC 6750's b64token: what an Authorization header carries unquoted.
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{MIN_CHARACTERS},512}}=*")


class Tokens:
    """The tokens that open the service."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Tokens from a file, one per line; empty lines do not count.

        Raises:
            SettingsError: unreadable, open to others than its owner and group, without tokens, or with a
                line that is none. The line's number is quoted, never the line.
        """
        lines = read_private(path, "the token file").decode(errors="replace").splitlines()
        tokens = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
        for number, token in tokens.items():
            if not _TOKEN.fullmatch(token):
                raise SettingsError(
                    f"{path}, line {number}: a token has {MIN_CHARACTERS} to 512 letters, digits or ._~+/-"
                )
        if not 1 <= len(tokens) <= MAX_TOKENS:
            raise SettingsError(f"{path} holds {len(tokens)} tokens; give 1 to {MAX_TOKENS}, one per line")
        return cls(tokens.values())

    def accept(self, token: bytes) -> bool:
        """Whether it is one of them; takes the same time whichever it is, and if it is none."""
        digest = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
