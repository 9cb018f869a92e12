"""TLS of the front: PEM files -> grpc's server credentials, read again when the files change."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from rdserve.server.security.secret_files import read_private
from rdserve.server.settings import Settings, SettingsError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Files:
    cert: Path
    key: Path
    client_ca: Path | None

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """What changes when one of the files does."""
        stats = [path.stat() for path in (self.cert, self.key, self.client_ca) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Raises SettingsError: unreadable, no PEM, or a key that is not the certificate's."""
        key, chain = read_private(self.key, "the TLS key"), _read(self.cert)
        roots = None if self.client_ca is None else _read(self.client_ca)
        self._check()
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)

    def _check(self) -> None:
        """grpc itself notices a wrong pair only when a client comes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password given here, an encrypted key would ask for one on the terminal.
            context.load_cert_chain(self.cert, self.key, password="")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.cert, self.key, self.client_ca) if path)
            raise SettingsError(f"TLS cannot use {files}: {error}") from None


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Credentials from the settings' files; None where they name none.

    Renewed certificates count from the next connection on; a renewal that cannot be used is logged, and
    the old one stays.

    Raises:
        SettingsError: a file that cannot be used.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    files = _Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        _Renewal(files),  # type: ignore[arg-type]  # None is allowed: "no change"
        require_client_authentication=files.client_ca is not None,
    )


class _Renewal:
    """Called by grpc for each connection: the new certificate, or None where nothing changed."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._seen = files.stamps()

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        try:
            now = self._files.stamps()
            if now == self._seen:
                return None
            self._seen = now
            return self._files.read()
        except (OSError, SettingsError) as error:
            log.error("the TLS certificate stays as it was: %s", error)
            return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
