"""The service's full name, and whether only its own machine reaches it."""

import ipaddress

from rdserve.v1 import vae_pb2

# In calls' paths, in reflection, in health checks.
SERVICE: str = vae_pb2.DESCRIPTOR.services_by_name["VaeService"].full_name


def is_loopback(host: str) -> bool:
    """Whether the host is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
