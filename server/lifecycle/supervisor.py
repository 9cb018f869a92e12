"""All the models: each with its keeper, and what the outside is told about them."""

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
        catalogue: ModelRegistry,
        health: health_aio.HealthServicer,
        settings: Settings,
        announce: Announce,
    ) -> None:
        self._catalogue = catalogue
        catalogue.complete = False
        self._health = health
        self._settings = settings
        self._announce = announce
        self._keepers: dict[str, ModelLifecycle] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # Models that load for the first time, or since everything was lost, and neither serve nor failed yet.
        self._unsettled: set[str] = set()
        self._batch = 0  # how many there were
        self._settled = asyncio.Event()

    async def start(self, offers: Sequence[RepositoryModel], backend: Backend, batcher: Scheduler) -> int:
        """Load the models; return, once each has settled, how many serve."""
        turns = asyncio.Semaphore(self._settings.load_concurrency)
        self._begin(offer.name for offer in offers)
        for offer in offers:
            if offer.archive is not None:
                self._catalogue.add(offer.name, offer.archive.card)
            await self._health.set(offer.name, NOT_SERVING)
            lane = batcher.lane(offer.name)
            keeper = ModelLifecycle(offer, backend, lane, self._settings, turns, self._report)
            self._keepers[offer.name] = keeper
            self._tasks.append(task := asyncio.create_task(keeper.run()))
            task.add_done_callback(_complain)
        await self._all_settled()
        self._catalogue.complete = True
        await self._tell_readiness()
        return sum(entry.state == MODEL_STATE_SERVING for entry in self._catalogue)

    async def stop(self) -> None:
        """Leave the models as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lost(self, model: str, error: BackendUnavailable) -> None:
        """A call to a model came back without an answer."""
        self._keepers[model].suspect(Outage(error, heals=error.worker_ended))

    def down(self, reason: str) -> None:
        """Everything that the backend ran is gone."""
        self._begin(entry.name for entry in self._catalogue if entry.state != MODEL_STATE_FAILED)
        for keeper in self._keepers.values():
            keeper.suspect(Outage(BackendUnavailable(reason), heals=False))

    def _begin(self, names: Iterable[str]) -> None:
        """These are to settle before the service is ready."""
        self._unsettled = set(names)
        self._batch = len(self._unsettled)
        self._settled.clear()

    async def _all_settled(self) -> None:
        settled = asyncio.create_task(self._settled.wait())
        try:
            # A keeper ends by a defect only, or with nothing left to try.
            while not settled.done():
                running = {task for task in self._tasks if not task.done()}
                await asyncio.wait({settled, *running}, return_when=asyncio.FIRST_COMPLETED)
                for task in self._tasks:
                    _ = task.done() and task.result()
        finally:
            settled.cancel()

    async def _report(self, name: str, state: ModelState.ValueType, reason: str, callers_wait: bool) -> None:
        if state == MODEL_STATE_LOADING:
            self._catalogue.loading(name, reason, callers_wait=callers_wait)
        elif state == MODEL_STATE_FAILED:
            self._catalogue.failed(name, reason)
        else:
            self._catalogue.serving(name, self._keepers[name].card, self._keepers[name].place)
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
        serves = any(entry.state == MODEL_STATE_SERVING for entry in self._catalogue)
        ready = serves and self._settled.is_set()
        await self._health.set(SERVICE, SERVING if ready else NOT_SERVING)


def _complain(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a model is no longer watched", exc_info=error)
