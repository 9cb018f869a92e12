"""The composition root: settings -> store, backend, batcher, servicer -> one running service."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from rdserve.server.backends.base import Backend, InProcessBackend
from rdserve.server.batching.revocation import Revocations
from rdserve.server.batching.scheduler import OnLoss, Scheduler
from rdserve.server.grpc_api import reflection
from rdserve.server.grpc_api.active_calls import ActiveCalls
from rdserve.server.grpc_api.interceptors.admission import UploadAdmission
from rdserve.server.grpc_api.interceptors.auth import RequireToken, Tokens
from rdserve.server.grpc_api.interceptors.errors import ErrorsToStatus
from rdserve.server.grpc_api.servicer import VaeServicer
from rdserve.server.lifecycle.supervisor import NOT_SERVING, Announce, ModelSupervisor
from rdserve.server.observability.setup import Observability
from rdserve.server.registry import ModelRegistry
from rdserve.server.repository.scan import RepositoryModel, ScanResult, load_all, scan
from rdserve.server.scratch import Scratch, sweep
from rdserve.server.security.tls import server_credentials
from rdserve.server.settings import Settings
from rdserve.v1 import vae_pb2_grpc
from rdserve.wire.limits import MAX_MESSAGE_BYTES
from rdserve.wire.service import SERVICE

log = logging.getLogger(__name__)

LISTENING = {
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

# To write out answers that are ready.
FAREWELL_SECONDS = 1.0


class StartError(RuntimeError):
    """A service that cannot start; the message says why."""


class Server:
    """One service. `announce` gets a line per phase."""

    def __init__(self, settings: Settings, announce: Announce) -> None:
        self.settings = settings
        self._announce = announce
        self._catalogue = ModelRegistry()
        self._health = health_aio.HealthServicer()
        self._fleet = ModelSupervisor(self._catalogue, self._health, settings, announce)
        self._backend = make_backend(settings, self._fleet.down, self._fleet.lost)
        self._observability = Observability(self._catalogue)
        # Archives made of checkpoints, which may have to be loaded again; and revocations of calls.
        self._scratch = Scratch()
        self._batcher = Scheduler(
            self._backend.call,
            settings,
            self._fleet.lost,
            self._observability.watch,
            Revocations(self._scratch.folder),
        )
        self._observability.attach(self._batcher, self._backend)
        self._door = ActiveCalls()
        self._credentials = server_credentials(settings)
        self._server = _make_server(settings, self._observability.interceptor)
        self.address = ""

    async def start(self) -> None:
        """Listen, load every model, and return when those that can serve do.

        Raises:
            StartError: the port is taken, the backend did not start, or no model serves.
            SettingsError: the models folder has nothing to serve.
        """
        found = scan(self.settings.models)
        for folder in await asyncio.to_thread(sweep):
            log.warning("removed %s, which a service that was killed had left", folder)
        await self._listen()
        loading = models(len(found.archives) + len(found.checkpoints))
        self._announce(f"loading {loading} on {self.settings.backend}, answering on {self.address}")
        offers = await self._prepare(found, self._scratch.folder)
        serving = await self._fleet.start(offers, self._backend, self._batcher)
        if not serving:
            raise StartError(f"none of {models(len(offers))} serves")
        of = "" if serving == len(offers) else f"{serving} of "
        self._announce(f"serving {of}{models(len(offers))} on {self.address}")

    async def stop(self) -> None:
        """Say so, refuse new work, finish what is in flight within the grace period, end what was started."""
        await self._health.enter_graceful_shutdown()
        self._door.close()
        end = time.monotonic() + self.settings.grace_seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._door.empty(), timeout=self.settings.grace_seconds)
        # What remains are answers on their way out, and watchers of health, who never leave.
        await self._server.stop(FAREWELL_SECONDS)
        await self._fleet.stop()
        await self._backend.stop(within=max(FAREWELL_SECONDS, end - time.monotonic()))
        self._observability.close()
        self._scratch.remove()

    def kill(self) -> None:
        """End everything that was started, now."""
        self._backend.kill()
        self._scratch.remove()

    async def _listen(self) -> None:
        vae_pb2_grpc.add_VaeServiceServicer_to_server(
            VaeServicer(self._catalogue, self._batcher, self._door), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable(self._server, names)
        await self._health.set(SERVICE, NOT_SERVING)
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        try:
            must_be_free(self.settings.host, self.settings.port)
            port = self._open_port(f"{host}:{self.settings.port}")
        except (OSError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise StartError(f"cannot listen on {host}:{self.settings.port}: {why}") from None
        metrics = self._open_metrics()
        await self._server.start()
        self.address = f"{host}:{port}"
        self._announce(f"metrics on {metrics}")

    def _open_metrics(self) -> str:
        host, port = self.settings.metrics_host, self.settings.metrics_port
        try:
            return self._observability.listen(host, port)
        except OSError as error:
            raise StartError(f"cannot listen for metrics on {host}:{port}: {error.strerror}") from None

    def _open_port(self, address: str) -> int:
        if self._credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._credentials)

    async def _prepare(self, found: ScanResult, scratch: Path) -> list[RepositoryModel]:
        """Verify the models while the backend starts. The offers' archives lie in `scratch`."""
        starting = asyncio.create_task(self._backend.start())
        try:
            offers = await load_all(found, scratch)
            await starting
        except RuntimeError as error:
            raise StartError(str(error)) from error
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        return offers


def models(n: int) -> str:
    """ "1 model", "2 models"."""
    return f"{n} model" if n == 1 else f"{n} models"


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


def make_backend(
    settings: Settings,
    on_down: Callable[[str], None] = lambda reason: None,
    on_lost: OnLoss = lambda model, error: None,
) -> Backend:
    """The backend that the settings name; `on_down` hears why everything that it ran is gone, `on_lost` of
    each worker that ended by itself."""
    if settings.backend == "in-process":
        return InProcessBackend(settings)
    from rdserve.server.backends.torchserve.backend import TorchServeBackend

    return TorchServeBackend(settings, on_down, on_lost)


def _make_server(settings: Settings, *outer: "aio.ServerInterceptor[Any, Any]") -> aio.Server:
    """Raises SettingsError where the token file cannot be used."""
    interceptors: list[aio.ServerInterceptor[Any, Any]] = [*outer, ErrorsToStatus()]
    if settings.token_file is not None:
        interceptors.append(RequireToken(Tokens.read(settings.token_file)))
    # Health checks neither wait for others' uploads nor are a way around the bound.
    interceptors += [UploadAdmission(prefix, settings.max_uploads) for prefix in (f"/{SERVICE}/", "/grpc.")]
    return aio.server(interceptors=interceptors, options=list(LISTENING.items()))


async def serve(settings: Settings, announce: Announce, ready_file: Path | None = None) -> None:
    """Run a service until SIGTERM or SIGINT. `ready_file` gets its address once it serves.

    The first signal lets it finish what is in flight, the second ends it there and then.

    Raises:
        StartError, SettingsError: as `Service.start`.
    """
    stopping = asyncio.Event()
    announce = _patient(announce)
    service = Server(settings, announce)

    def signalled(number: signal.Signals) -> None:
        if stopping.is_set():
            service.kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled, number)
    try:
        if await _unless(stopping, service.start()):
            # Every call of grpc.aio leaves a cycle; who collects those need not look at all of the rest.
            gc.collect()
            gc.freeze()
            if ready_file is not None:
                ready_file.write_text(service.address)
            await stopping.wait()
        announce("stopping")
    finally:
        await service.stop()
    announce("stopped")


def _patient(announce: Announce) -> Announce:
    """A full disk, or a reader who has left, must not end a service that only wanted to say so."""

    def say(line: str) -> None:
        with contextlib.suppress(OSError):
            announce(line)

    return say


async def _unless(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether the work was done before `stopping` was set; it is cancelled if not."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False
