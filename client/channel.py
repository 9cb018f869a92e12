"""Opening a channel to the service: who is trusted, message sizes, retries, keepalive."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from rdserve.client import service_config
from rdserve.client.address import check_address, is_local
from rdserve.client.errors import InputError
from rdserve.wire.limits import MAX_MESSAGE_BYTES


@dataclass(frozen=True, repr=False)
class Security:
    """How a server is trusted, and who calls. No repr: it would show the token.

    tls: False, True (the machine's authorities), or a PEM file of the authority to trust.
    cert, key: PEM files that show the server who calls (mutual TLS).
    token: sent with every call; over TLS, or to this machine.
    """

    tls: bool | Path | str = False
    cert: Path | str | None = None
    key: Path | str | None = None
    token: str | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries. grpc's own call credentials refuse plaintext, loopback or not."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def given(self, channel: Any) -> Callable[[], Any]:
        """A channel that somebody else opened. Raises InputError where these are meant to open one."""
        if self != Security():
            raise InputError("a given channel has its own token and TLS; give them to it, or no channel")
        return lambda: channel

    def check(self, address: str) -> None:
        """Raises InputError where these do not go together, or the token would travel in the clear."""
        if (self.cert is None) != (self.key is None):
            raise InputError(f"give a certificate and its key, got cert={self.cert} and key={self.key}")
        if self.cert is not None and not self.tls:
            raise InputError("a client certificate travels over TLS; give tls=True, or the authority's file")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise InputError("the token holds characters that no header carries; is it the right one?")
        if self.token and not self.tls and not is_local(address):
            raise InputError(
                f"{address} is not this machine, and without TLS anyone on the way could read the token; "
                "give tls=True, or the authority's file"
            )


def open_channel(address: str, security: Security) -> grpc.Channel:
    """A channel to "host:port", "unix:/path" or many replicas (`rdserve.client.service_config`).

    It connects on the first call, and again when it must.

    Raises:
        InputError: no such address, as `Security.check`, or a file that cannot be read.
    """
    channel: grpc.Channel = channel_opener(address, security, grpc)()
    return channel


def channel_opener(address: str, security: Security, flavour: Any) -> Callable[[], Any]:
    """What opens it, of grpc or of grpc.aio, in whose event loop that must be. Raises as `open_channel`."""
    security.check(address)
    check_address(address)
    settings = service_config.OPTIONS | {
        "grpc.service_config": json.dumps(service_config.service_config(address)),
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.keepalive_time_ms": 60_000,
        # A server that comes back is found before the attempts of one call are over, however long it was
        # away; grpc's own is 2 minutes.
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.min_reconnect_backoff_ms": 2_000,
        "grpc.max_reconnect_backoff_ms": 1_000,
        # A proxy is on the way to nowhere here, and would read the token.
        "grpc.enable_http_proxy": int(not is_local(address)),
    }
    options = list(settings.items())
    if security.tls:
        return partial(flavour.secure_channel, address, credentials(security), options)
    return partial(flavour.insecure_channel, address, options)


def credentials(security: Security) -> grpc.ChannelCredentials:
    """What TLS asks for. Raises InputError where a file cannot be read."""
    roots = None if isinstance(security.tls, bool) else _read(security.tls)
    if security.cert is None or security.key is None:
        return grpc.ssl_channel_credentials(roots)
    return grpc.ssl_channel_credentials(roots, _read(security.key), _read(security.cert))


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
