"""What a channel does when one name stands for many replicas.

Targets: "dns:///rdserve-headless:50051" (every address of the name) or "ipv4:10.0.0.1:50051,10.0.0.2:50051".
"""

from types import MappingProxyType
from typing import Any

from rdserve.client.chunks import SERVICE
from rdserve.v1.limits import MAX_MESSAGE_BYTES

SCHEMES = ("dns", "ipv4", "ipv6")

# grpc itself makes the attempts, within the call's deadline. RESOURCE_EXHAUSTED is the server's full
# queue; a server that means "never" says so with a negative grpc-retry-pushback-ms.
RETRY_POLICY = MappingProxyType(
    {
        "maxAttempts": 5,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
)

OPTIONS = {
    "grpc.enable_retries": 1,
    # Beyond this many bytes a call's first replica is its last; grpc's own are 256 KiB.
    "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
    # New replicas are found when a connection ends, which the server sees to every few minutes.
    "grpc.dns_min_time_between_resolutions_ms": 5_000,
}


def service_config(address: str) -> dict[str, Any]:
    """Retries, always; for a target of many replicas also whose turn it is.

    Each call goes to the next replica whose health service says that it serves.
    """
    config: dict[str, Any] = {
        "methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": dict(RETRY_POLICY)}]
    }
    if address.partition(":")[0] in SCHEMES:
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        config["healthCheckConfig"] = {"serviceName": SERVICE}
    return config
