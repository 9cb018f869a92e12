"""All the models: the life of each, and what the outside is told about them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from rdserve.server.backends.base import Backend
from rdserve.server.batching.scheduler import Scheduler
from rdserve.server.errors import BackendUnavailable
from rdserve.server.lifecycle.model_lifecycle import ModelLifecycle, Outage
from rdserve.server.registry import ModelRegistry
from rdserve.server.repository.scan import RepositoryModel
from rdserve.server.settings import Settings
from rdserve.v1.vae_pb2 import MODEL_STATE_FAILED, MODEL_STATE_LOADING, MODEL_STATE_SERVING, ModelState
from rdserve.wire.service import SERVICE

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = logging.getLogger(__name__)

WORDS = {MODEL_STATE_LOADING: "is loading", MODEL_STATE_SERVING: "is serving", MODEL_STATE_FAILED: "failed"}

Announce = Callable[[str], None]


class ModelSupervisor:
    """Keeps the models. `announce` gets a line when one of them has settled."""

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        registry: ModelRegistry,
        health: health_aio.HealthServicer,
        settings: Settings,
        announce: Announce,
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._registry = registry
        registry.complete = False
        self._health = health
        self._settings = settings
        self._announce = announce
        self._models: dict[str, ModelLifecycle] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # Models that load for the first time, or since everything was lost, and neither serve nor failed yet.
        self._unsettled: set[str] = set()
        self._batch = 0  # how many there were
        self._settled = asyncio.Event()
        backend.subscribe(self._all_lost, self._worker_lost)
        scheduler.subscribe(self._worker_lost)

    async def start(self, models: Sequence[RepositoryModel]) -> int:
        """Load the models; return, once each has settled, how many serve."""
        turns = asyncio.Semaphore(self._settings.load_concurrency)
        self._begin(source.name for source in models)
        for source in models:
            if source.archive is not None:
                self._registry.add(source.name, source.archive.card)
            await self._health.set(source.name, NOT_SERVING)
            queue = self._scheduler.queue(source.name)
            model = ModelLifecycle(source, self._backend, queue, self._settings, turns, self._report)
            self._models[source.name] = model
            self._tasks.append(task := asyncio.create_task(model.run()))
            task.add_done_callback(_complain)
        await self._all_settled()
        self._registry.complete = True
        await self._tell_readiness()
        return sum(record.state == MODEL_STATE_SERVING for record in self._registry)

    async def stop(self) -> None:
        """Leave the models as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _worker_lost(self, model: str, error: BackendUnavailable) -> None:
        """A worker ended, or a call came back without an answer."""
        self._models[model].suspect(Outage(error, heals=error.worker_ended))

    def _all_lost(self, reason: str) -> None:
        """Everything that the backend ran is gone."""
        self._begin(record.name for record in self._registry if record.state != MODEL_STATE_FAILED)
        for model in self._models.values():
            model.suspect(Outage(BackendUnavailable(reason), heals=False))

    def _begin(self, names: Iterable[str]) -> None:
        """These are to settle before the service is ready."""
        self._unsettled = set(names)
        self._batch = len(self._unsettled)
        self._settled.clear()

    async def _all_settled(self) -> None:
        settled = asyncio.create_task(self._settled.wait())
        try:
            # A model's task ends by a defect only, or with nothing left to try.
            while not settled.done():
                running = {task for task in self._tasks if not task.done()}
                await asyncio.wait({settled, *running}, return_when=asyncio.FIRST_COMPLETED)
                for task in self._tasks:
                    _ = task.done() and task.result()
        finally:
            settled.cancel()

    async def _report(self, name: str, state: ModelState.ValueType, reason: str, callers_wait: bool) -> None:
        if state == MODEL_STATE_LOADING:
            self._registry.loading(name, reason, callers_wait=callers_wait)
        elif state == MODEL_STATE_FAILED:
            self._registry.failed(name, reason)
        else:
            self._registry.serving(name, self._models[name].card, self._models[name].placement)
        await self._health.set(name, SERVING if state == MODEL_STATE_SERVING else NOT_SERVING)
        self._say(name, state, reason)
        if state != MODEL_STATE_LOADING:
            self._unsettled.discard(name)
        if not self._unsettled:
            self._settled.set()
        await self._tell_readiness()

    def _say(self, name: str, state: ModelState.ValueType, reason: str) -> None:
        because = f": {reason}" if reason else ""
        if name in self._unsettled and state != MODEL_STATE_LOADING:
            done = self._batch - len(self._unsettled) + 1
            verdict = f"FAILED{because}" if state == MODEL_STATE_FAILED else "ready"
            self._announce(f"[{done}/{self._batch}] {name} {verdict}")
        else:
            self._announce(f"{name} {WORDS[state]}{because}")

    async def _tell_readiness(self) -> None:
        """Ready while any model serves: one that loads again must not take its neighbours off the air. But
        where all load, at the start or after everything was lost, not before each has settled."""
        serves = any(record.state == MODEL_STATE_SERVING for record in self._registry)
        ready = serves and self._settled.is_set()
        await self._health.set(SERVICE, SERVING if ready else NOT_SERVING)


def _complain(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a model is no longer watched", exc_info=error)
