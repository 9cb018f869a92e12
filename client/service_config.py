"""What a channel does when one name stands for many replicas.

Targets: "dns:///rdserve-headless:50051" (every address of the name) or "ipv4:10.0.0.1:50051,10.0.0.2:50051".
"""

from typing import Any

from rdserve.client.address import SCHEMES
from rdserve.wire.service import SERVICE

OPTIONS = {
    # Under grpc's own retries a call may outlast its deadline for ever (grpc/grpc#41036); see `attempts`.
    "grpc.enable_retries": 0,
    # New replicas are found when a connection ends, which the server sees to every few minutes.
    "grpc.dns_min_time_between_resolutions_ms": 5_000,
}


def service_config(address: str) -> dict[str, Any]:
    """For a target of many replicas, whose turn it is: the next whose health service says that it serves."""
    if address.partition(":")[0] not in SCHEMES:
        return {}
    return {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}}
