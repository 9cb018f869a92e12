"""Where a service is: "host:port", "unix:/path", or a gRPC target of many replicas."""

import re

from rdserve.client.errors import InputError
from rdserve.wire.service import is_loopback

# Of targets that name many replicas, see `service_config`.
SCHEMES = ("dns", "ipv4", "ipv6")
SOCKETS = ("unix", "unix-abstract")
# Resolved by what a control plane says; names no host and port itself.
XDS = "xds"

_HOST_PORT = re.compile(r"(\[[^\]]+\]|[^:/\s\[\]]+):(\d{1,5})")


def check_address(address: str) -> None:
    """Raises InputError for what names no host and port: grpc would guess a port, or name no cause."""
    scheme, _, rest = address.partition(":")
    if (scheme in SOCKETS or scheme == XDS) and rest:
        return
    if "://" in address and scheme not in SCHEMES:
        host = rest.strip("/") or "host:port"
        raise InputError(f"{address!r} is no address of a service; write {host} without {scheme}://")
    for target in _targets(address):
        found = _HOST_PORT.fullmatch(target)
        if found is None or not 0 < int(found[2]) < 2**16:
            raise InputError(f"{target!r} is no host:port; write for example localhost:50051")


def is_local(address: str) -> bool:
    """Whether it is this machine: loopback addresses, localhost, or a Unix socket."""
    if address.partition(":")[0] in SOCKETS:
        return True
    scheme, _, rest = address.partition(":")
    # dns://8.8.8.8/localhost is whatever that name server says.
    asked_elsewhere = scheme in SCHEMES and rest.startswith("//") and not rest.startswith("///")
    return not asked_elsewhere and all(is_loopback(_host(target)) for target in _targets(address))


def _targets(address: str) -> list[str]:
    """Each host:port of an address."""
    scheme, _, rest = address.partition(":")
    return rest.rpartition("/")[2].split(",") if scheme in SCHEMES else [address]


def _host(target: str) -> str:
    return target[1:].partition("]")[0] if target.startswith("[") else target.rpartition(":")[0] or target
