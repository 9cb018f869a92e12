"""The composition root: settings -> backend, scheduler, supervisor, servicer -> one running service."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from rdserve.server.backends.base import Backend
from rdserve.server.backends.in_process import InProcessBackend
from rdserve.server.batching.revocation import Revocations
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.grpc_api.active_calls import ActiveCalls
from rdserve.server.grpc_api.inference.servicer import InferenceServicer
from rdserve.server.grpc_api.server import GrpcServer
from rdserve.server.grpc_api.servicer import VaeServicer
from rdserve.server.lifecycle.supervisor import NOT_SERVING, Announce, ModelSupervisor
from rdserve.server.observability.collectors import GpuCollector, QueueCollector
from rdserve.server.observability.setup import Observability
from rdserve.server.registry import ModelRegistry
from rdserve.server.repository.scan import RepositoryModel, ScanResult, load_all, scan
from rdserve.server.scratch import Scratch, sweep
from rdserve.server.settings import Settings, SettingsError
from rdserve.wire.service import SERVICE

if TYPE_CHECKING:
    from rdserve.server.http.server import HttpServer

log = logging.getLogger(__name__)

# To write out answers that are ready.
FAREWELL_SECONDS = 1.0


class StartError(RuntimeError):
    """A service that cannot start; the message says why."""


class Server:
    """One service. `announce` gets a line per phase."""

    def __init__(self, settings: Settings, announce: Announce) -> None:
        self.settings = settings
        self.address = ""
        self._announce = announce
        # Archives made of checkpoints, which may have to be loaded again; and revocations of calls.
        self._scratch = Scratch()
        self._health = health_aio.HealthServicer()
        self._active = ActiveCalls()
        registry = ModelRegistry()
        self._observability = Observability(registry)
        self._backend = make_backend(settings)
        scheduler = Scheduler(
            self._backend.call,
            settings,
            self._observability.batches,
            Revocations(self._scratch.folder),
        )
        self._observability.register(
            QueueCollector(scheduler.loads, scheduler.held_bytes),
            *GpuCollector.found(),
            *self._backend.collectors(),
        )
        self._supervisor = ModelSupervisor(
            self._backend, scheduler, registry, self._health, settings, announce
        )
        servicer = VaeServicer(registry, scheduler, self._active)
        metrics = self._observability.metrics
        inference = InferenceServicer(servicer, self._health, metrics)
        self._server = GrpcServer(settings, servicer, inference, self._health, metrics)
        self.http_address = ""
        self._http = None if settings.http is None else make_http(settings, servicer, inference, self._server)

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
        known = await self._prepare(found, self._scratch.folder)
        serving = await self._supervisor.start(known)
        if not serving:
            raise StartError(f"none of {models(len(known))} serves")
        of = "" if serving == len(known) else f"{serving} of "
        self._announce(f"serving {of}{models(len(known))} on {self.address}")

    async def stop(self) -> None:
        """Say so, refuse new work, finish what is in flight within the grace period, end what was started."""
        await self._health.enter_graceful_shutdown()
        self._active.close()
        end = time.monotonic() + self.settings.grace_seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._active.wait_idle(), timeout=self.settings.grace_seconds)
        # What remains are answers on their way out, and watchers of health, who never leave.
        ports = (self._server, self._http)
        await asyncio.gather(*(port.stop(FAREWELL_SECONDS) for port in ports if port))
        await self._supervisor.stop()
        await self._backend.stop(within=max(FAREWELL_SECONDS, end - time.monotonic()))
        self._observability.close()
        self._scratch.remove()

    def kill(self) -> None:
        """End everything that was started, now."""
        self._backend.kill()
        self._scratch.remove()

    async def _listen(self) -> None:
        await self._health.set(SERVICE, NOT_SERVING)
        settings = self.settings
        try:
            self.address = self._server.bind()
        except (OSError, RuntimeError) as error:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise StartError(f"cannot listen on {host}:{settings.port}: {why}") from None
        try:
            metrics = self._observability.listen(settings.metrics_host, settings.metrics_port)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise StartError(f"cannot listen for metrics on {where}: {error.strerror}") from None
        if self._http is not None:
            try:
                self.http_address = await self._http.bind()
            except OSError as error:
                where, why = f"{settings.host}:{settings.http}", os.strerror(error.errno or 0)
                raise StartError(f"cannot listen for HTTP on {where}: {why}") from None
            await self._http.start()
        await self._server.start()
        self._announce(f"metrics on {metrics}")
        if self.http_address:
            self._announce(f"HTTP on {self.http_address}")

    async def _prepare(self, found: ScanResult, scratch: Path) -> list[RepositoryModel]:
        """Verify the models while the backend starts. Their archives lie in `scratch`."""
        starting = asyncio.create_task(self._backend.start())
        try:
            known = await load_all(found, scratch)
            await starting
        except RuntimeError as error:
            raise StartError(str(error)) from error
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        return known


def models(n: int) -> str:
    """ "1 model", "2 models"."""
    return f"{n} model" if n == 1 else f"{n} models"


def make_backend(settings: Settings) -> Backend:
    """The backend that the settings name."""
    if settings.backend == "in-process":
        return InProcessBackend(settings)
    from rdserve.server.backends.torchserve.backend import TorchServeBackend

    return TorchServeBackend(settings)


def make_http(
    settings: Settings, servicer: VaeServicer, inference: InferenceServicer, grpc_port: GrpcServer
) -> "HttpServer":
    """The HTTP port beside a gRPC port. Raises SettingsError: what it needs is not installed."""
    try:
        from rdserve.server.http.server import HttpServer
    except ImportError as error:
        raise SettingsError(f"--http needs {error.name}; pip install 'rdserve[http]'") from None
    return HttpServer(settings, servicer, inference, grpc_port.interceptors(), grpc_port.room)


async def serve(settings: Settings, announce: Announce, ready_file: Path | None = None) -> None:
    """Run a service until SIGTERM or SIGINT. `ready_file` gets its address once it serves.

    The first signal lets it finish what is in flight, the second ends it there and then.

    Raises:
        StartError, SettingsError: as `Server.start`.
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
