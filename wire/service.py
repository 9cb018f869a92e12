"""What the service is called, and where it may be reached by its own machine alone."""

import ipaddress

# In full, as health checks, paths of methods and retry policies have it.
SERVICE = "rdserve.v1.VaeService"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
