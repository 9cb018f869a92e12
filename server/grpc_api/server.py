"""The gRPC server: its options, its interceptors, and the services that it answers for."""

import errno
import socket
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rdserve.server.grpc_api import reflection
from rdserve.server.grpc_api.interceptors.admission import UploadAdmission
from rdserve.server.grpc_api.interceptors.auth import RequireToken
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.server.grpc_api.interceptors.telemetry import TelemetryInterceptor
from rdserve.server.observability.metrics import Metrics
from rdserve.server.security.tls import server_credentials
from rdserve.server.security.tokens import Tokens
from rdserve.server.settings import Settings
from rdserve.v1 import inference_pb2, inference_pb2_grpc, vae_pb2, vae_pb2_grpc
from rdserve.wire.limits import MAX_MESSAGE_BYTES
from rdserve.wire.service import SERVICE

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
VAE = vae_pb2.DESCRIPTOR.services_by_name["VaeService"]
INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
SERVICES = (VAE, INFERENCE, HEALTH, *reflection.SERVICES)

OPTIONS = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    # Clients may ping idle connections, every 10 s at most; those that do not answer ours are closed.
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    # Who connects and says nothing is sent away.
    "grpc.server_handshake_timeout_ms": 10_000,
    # A storm of calls (14 KB each) waits its turn; at grpc's own 1,000 it would cancel others' at random.
    "grpc.server.max_pending_requests": 10_000,
    "grpc.server.max_pending_requests_hard_limit": 20_000,
    "grpc.max_concurrent_streams": 4_096,
    # Balancers spread clients anew; the grace is longer than the client lets any call take.
    "grpc.max_connection_age_ms": 300_000,
    "grpc.max_connection_age_grace_ms": 330_000,
    # Two services must not share a port without noticing.
    "grpc.so_reuseport": 0,
}


class GrpcServer:
    """VaeService, the Open Inference Protocol, health and reflection, on one port.

    room: the bound on messages, which another port shares.

    Raises:
        SettingsError: a TLS file or the token file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        servicer: vae_pb2_grpc.VaeServiceServicer,
        inference: inference_pb2_grpc.GRPCInferenceServiceServicer,
        health: Any,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._credentials = server_credentials(settings)
        self._metrics = metrics
        self._tokens = None if settings.token_file is None else Tokens.read(settings.token_file)
        admission = UploadAdmission((f"/{SERVICE}/", f"/{INFERENCE.full_name}/"), settings.max_uploads)
        self.room = admission.room
        # Health checks neither wait for others' uploads nor are a way around the bound.
        others = UploadAdmission("/grpc.", settings.max_uploads)
        self._server = aio.server(
            interceptors=[*self.interceptors(), admission, others],
            options=list(OPTIONS.items()),
        )
        vae_pb2_grpc.add_VaeServiceServicer_to_server(servicer, self._server)
        inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        reflection.enable(self._server, (SERVICE, INFERENCE.full_name, HEALTH.full_name))

    def interceptors(self) -> "list[aio.ServerInterceptor[Any, Any]]":
        """From the outermost, what stands around calls of every port; new ones each time."""
        known = [] if self._tokens is None else [RequireToken(self._tokens)]
        return [TelemetryInterceptor(self._metrics, SERVICES), ErrorsToStatus(), *known]

    def bind(self) -> str:
        """Take the port; the address. Raises OSError, RuntimeError where that is not possible."""
        host, port = self._settings.host, self._settings.port
        must_be_free(host, port)
        host = f"[{host}]" if ":" in host else host
        address = f"{host}:{port}"
        if self._credentials is None:
            return f"{host}:{self._server.add_insecure_port(address)}"
        return f"{host}:{self._server.add_secure_port(address, self._credentials)}"

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Refuse new calls, and end those that take longer than `grace` seconds."""
        await self._server.stop(grace)


def must_be_free(host: str, port: int) -> None:
    """Raises OSError where others listen, or we may not; grpc says so in lines of its own, and not why."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
                trial.listen()
        except OSError as error:
            # Of a name's other addresses one will do.
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
