"""The HTTP port: uvicorn's connections on sockets of ours, in the service's loop."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from grpc import aio
from rdserve.server.grpc_api.interceptors.upload_room import UploadRoom
from rdserve.server.grpc_api.server import INFERENCE, VAE
from rdserve.server.http.calls import Calls, handlers
from rdserve.server.http.connection import HEAD_SECONDS, BoundedConnection
from rdserve.server.http.guard import Guard
from rdserve.server.http.pages import PAGES
from rdserve.server.http.router import Router
from rdserve.server.security.tls import server_context
from rdserve.server.settings import Settings
from rdserve.v1.inference_pb2_grpc import GRPCInferenceServiceServicer
from rdserve.v1.vae_pb2_grpc import VaeServiceServicer
from uvicorn.config import Config
from uvicorn.server import ServerState

KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048


class HttpServer:
    """Both services' methods over HTTP.

    interceptors, room: what stands around every call, and the bound on messages, as on the gRPC port.

    Raises:
        SettingsError: a TLS file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        servicer: VaeServiceServicer,
        inference: GRPCInferenceServiceServicer,
        interceptors: "Sequence[aio.ServerInterceptor[Any, Any]]",
        room: UploadRoom,
    ) -> None:
        self._settings = settings
        self._tls = server_context(settings)
        known = handlers(VAE, servicer) | handlers(INFERENCE, inference)
        router = Router(VAE, Calls(interceptors, room, known))
        self._config = Config(
            Guard(router, {settings.host, *settings.http_hosts}, PAGES),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            # Who sends what is no HTTP is nobody's fault here; what goes wrong here is logged by the guard.
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._state = ServerState()
        self._listening: asyncio.Server | None = None

    async def bind(self) -> str:
        """Take the port; the address. Raises OSError where that is not possible."""
        self._config.load()
        loop, settings = asyncio.get_running_loop(), self._settings
        self._listening = await loop.create_server(
            partial(BoundedConnection, self._config, self._state, {}, loop),
            settings.host,
            settings.http,
            ssl=self._tls,
            ssl_handshake_timeout=HEAD_SECONDS if self._tls else None,
            backlog=BACKLOG,
            start_serving=False,
        )
        port = self._listening.sockets[0].getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def start(self) -> None:
        """Answer from now on."""
        assert self._listening is not None
        await self._listening.start_serving()

    async def stop(self, grace: float) -> None:
        """Refuse new requests, and end those that take longer than `grace` seconds."""
        if self._listening is None:
            return
        self._listening.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        await self._wait(grace)
        for task in self._state.tasks:
            task.cancel()  # its caller is told
        await self._wait(grace)
        for connection in list(self._state.connections):
            connection.transport.abort()

    async def _wait(self, seconds: float) -> None:
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=seconds)
