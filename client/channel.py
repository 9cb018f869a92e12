"""Opening a channel to the service: message sizes, retries, keepalive."""

import json
from types import MappingProxyType

import grpc
from rdserve.client import chunks
from rdserve.v1.limits import MAX_MESSAGE_BYTES

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


def open_channel(address: str) -> grpc.Channel:
    """A plain-text channel to "host:port" or "unix:/path". Connects on the first call."""
    service = {"methodConfig": [{"name": [{"service": chunks.SERVICE}], "retryPolicy": dict(RETRY_POLICY)}]}
    options = {
        "grpc.service_config": json.dumps(service),
        "grpc.enable_retries": 1,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.keepalive_time_ms": 60_000,
    }
    return grpc.insecure_channel(address, list(options.items()))
