"""One model's life: LOADING -> SERVING, back to LOADING when it stops answering, FAILED between cures.

TorchServe says that a model is ready while its worker is gone or hangs, so what counts here is answers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from rdserve.models.card import Card
from rdserve.server.backends.base import Backend, LoadError
from rdserve.server.batching.model_queue import ModelQueue
from rdserve.server.clock import now
from rdserve.server.errors import BackendUnavailable, FailedModel, StatusError
from rdserve.server.repository.archive import Archive, ArchiveError, open_archive
from rdserve.server.repository.scan import RepositoryModel
from rdserve.server.repository.selftest import SelfTestError
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import NOWHERE, Reply, call_worker
from rdserve.v1.vae_pb2 import (
    MODEL_STATE_FAILED,
    MODEL_STATE_LOADING,
    MODEL_STATE_SERVING,
    ModelState,
    ScoreRequest,
    ScoreResponse,
)

log = logging.getLogger(__name__)

MAX_DELAY_SECONDS = 60.0


class ProbeError(Exception):
    """The model did not answer."""


# What says why a model does not serve: its file, its load, its answers.
FAULTS = (ArchiveError, LoadError, SelfTestError, ProbeError)

# report(name, state, reason, whether callers may wait until it serves again)
Report = Callable[[str, ModelState.ValueType, str, bool], Awaitable[None]]


@dataclass(frozen=True)
class Outage:
    """Why a model no longer serves. heals: the backend starts the worker again by itself."""

    error: BackendUnavailable
    heals: bool


class ModelLifecycle:
    """Loads one model, and loads it again whenever it stops answering."""

    def __init__(
        self,
        source: RepositoryModel,
        backend: Backend,
        queue: ModelQueue,
        settings: Settings,
        turns: asyncio.Semaphore,
        report: Report,
    ) -> None:
        self.name = source.name
        self._source = source
        self._backend = backend
        self._queue = queue
        self._settings = settings
        self._turns = turns
        self._report = report
        self._outage: asyncio.Future[Outage] | None = None
        self._asked = 0.0
        # Where its worker runs, as its last self-test said.
        self.placement = NOWHERE

    @property
    def card(self) -> Card:
        """The card of a model that has been loaded."""
        return self._archive().card

    def suspect(self, outage: Outage) -> None:
        """Something that concerns the model went wrong; it is known only while the model serves."""
        if self._outage is not None and not self._outage.done():
            self._outage.set_result(outage)

    async def run(self) -> None:
        """Keep the model; return only where nothing can ever make it serve."""
        self._queue.hold()
        failures = 0
        outage: Outage | None = None
        while True:
            fault = await self._bring_up(outage)
            outage = None
            if fault:
                failures += 1
                self._queue.refuse(FailedModel(f"model {self.name!r} has failed: {fault}"))
                await self._report(self.name, MODEL_STATE_FAILED, str(fault), False)
                if self._source.path is None:
                    return
                await asyncio.sleep(_delay(failures))
            else:
                begun = now()
                outage = await self._serve()
                steady = now() - begun > self._settings.steady_seconds
                failures = 0 if steady else failures + 1
                delay = _delay(failures - 1)
                # A worker that ended once is back within seconds; callers wait for it as they do for others.
                waits = outage.heals and not delay
                await self._report(self.name, MODEL_STATE_LOADING, outage.error.message, waits)
                await asyncio.sleep(delay)

    async def _bring_up(self, outage: Outage | None) -> Exception | None:
        """One of FAULTS, where the model cannot serve."""
        if outage and outage.heals and await self._heals():
            return None
        if outage:
            self._queue.abandon(outage.error)
        try:
            async with self._turns:
                await self._load()
        except FAULTS as fault:
            return fault
        return None

    async def _heals(self) -> bool:
        """Whether the backend has replaced the worker by itself."""
        try:
            await self._backend.healed(self.name)
            await self._self_test(self._settings.probe_timeout_seconds)
        except FAULTS as fault:
            log.warning("model %s does not recover by itself: %s", self.name, fault)
            return False
        return True

    async def _load(self) -> None:
        """Raises one of FAULTS."""
        await self._backend.load(await asyncio.to_thread(self._archive))
        # A machine that loads many models at once answers late, and is not broken for it.
        await self._self_test(self._settings.load_timeout_seconds)

    def _archive(self) -> Archive:
        """The archive, opened now if it could not be before."""
        if self._source.archive is None:
            if self._source.path is None:
                raise ArchiveError(self._source.reason)
            archive = open_archive(self._source.path)
            if archive.card.name != self.name:
                raise ArchiveError(
                    f"{self._source.path.name} now holds model {archive.card.name!r}; start again"
                )
            self._source = replace(self._source, archive=archive)
        assert self._source.archive is not None
        return self._source.archive

    async def _self_test(self, patience: float) -> None:
        """Raises ProbeError or SelfTestError where the loaded model is not the one that was packaged."""
        archive = self._archive()
        reply = await self._ask(archive.selftest.request(archive.card), "its self-test", patience)
        self.placement = reply.placement
        assert isinstance(reply.response, ScoreResponse)
        archive.selftest.check(archive.card, reply.response, self._settings.precision)

    async def _serve(self) -> Outage:
        """Serve until something is wrong."""
        self._outage = asyncio.get_running_loop().create_future()
        self._asked = now()
        await self._report(self.name, MODEL_STATE_SERVING, "", False)
        self._queue.open()
        try:
            return await self._watch(self._outage)
        finally:
            self._outage = None
            self._queue.hold()

    async def _watch(self, told: "asyncio.Future[Outage]") -> Outage:
        tick = min(self._settings.probe_seconds, self._settings.hang_seconds) / 4
        while True:
            await asyncio.wait({told}, timeout=tick)
            outage = told.result() if told.done() else await self._look()
            if outage is None:
                continue
            if not outage.heals or self._settings.workers == 1 or await self._probe():
                return outage
            log.warning("model %s lost a worker and answers: %s", self.name, outage.error.message)
            told = self._outage = asyncio.get_running_loop().create_future()
            self._queue.open()

    async def _look(self) -> Outage | None:
        """An outage that nobody has reported: a call that takes too long, or a question without an answer."""
        settings = self._settings
        if late := self._queue.overdue(
            floor=settings.hang_seconds, unknown=settings.response_timeout_seconds
        ):
            # A request may be what hangs it, as one may be what ends it.
            error = BackendUnavailable(f"its worker has not answered for {late:.0f} s", worker_ended=True)
            return Outage(error, heals=False)
        heard = max(self._queue.answered, self._asked)
        if self._queue.idle and now() - heard > settings.probe_seconds:
            return await self._probe()
        return None

    async def _probe(self) -> Outage | None:
        """What is wrong with a model that does not answer a question."""
        card, probe = self.card, self._archive().selftest.probe
        self._asked = now()
        patience = self._settings.probe_timeout_seconds
        try:
            reply = await self._ask(probe.request(card), "a question", patience)
            assert isinstance(reply.response, ScoreResponse)
            probe.answered(card, reply.response)
        except (ProbeError, SelfTestError) as error:
            return Outage(BackendUnavailable(str(error)), heals=False)
        return None

    async def _ask(self, request: ScoreRequest, what: str, patience: float) -> Reply:
        """The worker's reply, past the queue. Raises ProbeError."""
        try:
            async with asyncio.timeout(patience):
                return await call_worker(self._backend.call, request)
        except (StatusError, RuntimeError) as error:
            raise ProbeError(str(error)) from error
        except TimeoutError:
            raise ProbeError(f"no answer to {what} within {patience:g} s") from None


def _delay(failures: int) -> float:
    """Seconds before the next cure: 0, 1, 2, 4, ..."""
    return 0.0 if failures < 1 else min(MAX_DELAY_SECONDS, 2.0 ** (failures - 1))
