"""A certificate authority for one test, and secrets as files."""

from pathlib import Path
from typing import NamedTuple

import trustme

TOKEN = "tests-only-token-0123456789"


class Pem(NamedTuple):
    """PEM files: a certificate chain and its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates and writes them into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.pem = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.pem))

    def issue(self, name: str, *identities: str) -> Pem:
        """A certificate for these hosts, as name.pem and name.key, in place of an older one."""
        issued = self._ca.issue_cert(*identities)
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        secret(key, issued.private_key_pem.bytes().decode())
        return Pem(cert, key)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with this text and mode."""
    path.touch(0o600)
    path.write_text(text)
    path.chmod(mode)
    return path
