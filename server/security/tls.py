"""TLS of the front: PEM files -> grpc's server credentials, and a context for HTTP.

Both read the files again when they change.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from rdserve.server.security.secret_files import read_private
from rdserve.server.settings import Settings, SettingsError

log = logging.getLogger(__name__)

Made = TypeVar("Made")


@dataclass(frozen=True)
class _Files:
    cert: Path
    key: Path
    client_ca: Path | None

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """What changes when one of the files does."""
        stats = [path.stat() for path in (self.cert, self.key, self.client_ca) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    @classmethod
    def of(cls, settings: Settings) -> "_Files | None":
        """Those that the settings name."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

    def read(self) -> grpc.ServerCertificateConfiguration:
        """For grpc. Raises SettingsError: unreadable, no PEM, or a key that is not the certificate's."""
        key, chain = read_private(self.key, "the TLS key"), _read(self.cert)
        roots = None if self.client_ca is None else _read(self.client_ca)
        self.context()  # grpc itself notices a wrong pair only when a client comes
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)

    def context(self) -> ssl.SSLContext:
        """For HTTP/1.1. Raises SettingsError as `read`."""
        read_private(self.key, "the TLS key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password given here, an encrypted key would ask for one on the terminal.
            context.load_cert_chain(self.cert, self.key, password="")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.cert, self.key, self.client_ca) if path)
            raise SettingsError(f"TLS cannot use {files}: {error}") from None
        return context


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Credentials from the settings' files; None where they name none.

    Renewed certificates count from the next connection on; a renewal that cannot be used is logged, and
    the old one stays.

    Raises:
        SettingsError: a file that cannot be used.
    """
    if (files := _Files.of(settings)) is None:
        return None
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        _Renewal(files, files.read),  # type: ignore[arg-type]  # None is allowed: "no change"
        require_client_authentication=files.client_ca is not None,
    )


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """The same for HTTP."""
    files = _Files.of(settings)
    return None if files is None else _RenewedContext(files)


class _Renewal(Generic[Made]):
    """Called for each connection: what is made of the new files, or None where nothing changed."""

    def __init__(self, files: _Files, make: Callable[[], Made]) -> None:
        self._files = files
        self._make = make
        self._seen = files.stamps()

    def __call__(self) -> Made | None:
        try:
            now = self._files.stamps()
            if now == self._seen:
                return None
            self._seen = now
            return self._make()
        except (OSError, SettingsError) as error:
            log.error("the TLS certificate stays as it was: %s", error)
            return None


class _RenewedContext(ssl.SSLContext):
    """Hands each new connection to a context of the files as they are now."""

    def __new__(cls, files: _Files) -> "_RenewedContext":
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made._current = files.context()
        made._renewal = _Renewal(files, files.context)
        return made

    _current: ssl.SSLContext
    _renewal: _Renewal[ssl.SSLContext]

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self._current = self._renewal() or self._current
        return self._current.wrap_bio(*arguments, **options)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
