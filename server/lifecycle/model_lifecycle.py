"""One model's life: LOADING -> SERVING, back to LOADING when it stops answering, FAILED between cures.

TorchServe says that a model is ready while its worker is gone or hangs, so what counts here is answers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from rdserve.models.card import Card
from rdserve.server.backends.base import Backend, LoadError
from rdserve.server.batching.model_queue import ModelQueue
from rdserve.server.errors import BackendUnavailable, ModelFailed, StatusError
from rdserve.server.lifecycle.probe import ProbeError, check_answer, golden_request
from rdserve.server.repository.archive import Archive, ArchiveError, open_archive
from rdserve.server.repository.scan import RepositoryModel
from rdserve.server.repository.selftest import SelfTestError
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import NOWHERE, call_worker, decode_reply, encode_request, place_of
from rdserve.v1.vae_pb2 import (
    MODEL_STATE_FAILED,
    MODEL_STATE_LOADING,
    MODEL_STATE_SERVING,
    ModelState,
    ScoreResponse,
)

log = logging.getLogger(__name__)

MAX_DELAY_SECONDS = 60.0

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
        offer: RepositoryModel,
        backend: Backend,
        lane: ModelQueue,
        settings: Settings,
        turns: asyncio.Semaphore,
        report: Report,
    ) -> None:
        self.name = offer.name
        self._offer = offer
        self._backend = backend
        self._lane = lane
        self._settings = settings
        self._turns = turns
        self._report = report
        self._trouble: asyncio.Future[Outage] | None = None
        self._asked = 0.0
        # Where its worker runs, as its last self-test said.
        self.place = NOWHERE

    @property
    def card(self) -> Card:
        """The card of a model that has been loaded."""
        return self._archive().card

    def suspect(self, trouble: Outage) -> None:
        """Something that concerns the model went wrong; it is known only while the model serves."""
        if self._trouble is not None and not self._trouble.done():
            self._trouble.set_result(trouble)

    async def run(self) -> None:
        """Keep the model; return only where nothing can ever make it serve."""
        self._lane.hold()
        failures = 0
        trouble: Outage | None = None
        while True:
            reason = await self._bring_up(trouble)
            trouble = None
            if reason:
                failures += 1
                self._lane.refuse(ModelFailed(f"model {self.name!r} has failed: {reason}"))
                await self._report(self.name, MODEL_STATE_FAILED, reason, False)
                if self._offer.path is None:
                    return
                await asyncio.sleep(_delay(failures))
            else:
                begun = monotonic()
                trouble = await self._serve()
                steady = monotonic() - begun > self._settings.steady_seconds
                failures = 0 if steady else failures + 1
                delay = _delay(failures - 1)
                # A worker that ended once is back within seconds; callers wait for it as they do for others.
                waits = trouble.heals and not delay
                await self._report(self.name, MODEL_STATE_LOADING, trouble.error.message, waits)
                await asyncio.sleep(delay)

    async def _bring_up(self, trouble: Outage | None) -> str:
        """Why the model cannot serve, or nothing once it can."""
        if trouble and trouble.heals and await self._heals():
            return ""
        if trouble:
            self._lane.abandon(trouble.error)
        async with self._turns:
            return await self._load()

    async def _heals(self) -> bool:
        """Whether the backend has replaced the worker by itself."""
        try:
            await self._backend.healed(self.name)
        except LoadError as error:
            log.warning("model %s does not recover by itself: %s", self.name, error)
            return False
        return not await self._self_test(self._settings.probe_timeout_seconds)

    async def _load(self) -> str:
        try:
            archive = await asyncio.to_thread(self._archive)
            await self._backend.load(archive)
        except (ArchiveError, LoadError) as error:
            return str(error)
        # A machine that loads many models at once answers late, and is not broken for it.
        return await self._self_test(self._settings.load_timeout_seconds)

    def _archive(self) -> Archive:
        """The archive, opened now if it could not be before."""
        if self._offer.archive is None:
            if self._offer.path is None:
                raise ArchiveError(self._offer.reason)
            archive = open_archive(self._offer.path)
            if archive.card.name != self.name:
                raise ArchiveError(
                    f"{self._offer.path.name} now holds model {archive.card.name!r}; start again"
                )
            self._offer = replace(self._offer, archive=archive)
        assert self._offer.archive is not None
        return self._offer.archive

    async def _self_test(self, patience: float) -> str:
        """Why the loaded model is not the one that was packaged, or nothing."""
        archive = self._archive()
        request = archive.selftest.request(archive.card)
        try:
            async with asyncio.timeout(patience):
                reply = await self._backend.call(self.name, encode_request(request))
            self.place, response = place_of(reply), decode_reply(request, reply)
            assert isinstance(response, ScoreResponse)
            archive.selftest.check(archive.card, response, self._settings.precision)
        except (SelfTestError, StatusError, RuntimeError) as error:
            return str(error)
        except TimeoutError:
            return f"no answer to its self-test within {patience:g} s"
        return ""

    async def _serve(self) -> Outage:
        """Serve until something is wrong."""
        self._trouble = asyncio.get_running_loop().create_future()
        self._asked = monotonic()
        await self._report(self.name, MODEL_STATE_SERVING, "", False)
        self._lane.open()
        try:
            return await self._watch(self._trouble)
        finally:
            self._trouble = None
            self._lane.hold()

    async def _watch(self, told: "asyncio.Future[Outage]") -> Outage:
        tick = min(self._settings.probe_seconds, self._settings.hang_seconds) / 4
        while True:
            await asyncio.wait({told}, timeout=tick)
            trouble = told.result() if told.done() else await self._look()
            if trouble is None:
                continue
            if not trouble.heals or self._settings.workers == 1 or await self._probe():
                return trouble
            log.warning("model %s lost a worker and answers: %s", self.name, trouble.error.message)
            told = self._trouble = asyncio.get_running_loop().create_future()
            self._lane.open()

    async def _look(self) -> Outage | None:
        """Trouble that nobody has reported: a call that takes too long, or a question without an answer."""
        settings = self._settings
        if late := self._lane.overdue(floor=settings.hang_seconds, unknown=settings.response_timeout_seconds):
            # A request may be what hangs it, as one may be what ends it.
            error = BackendUnavailable(f"its worker has not answered for {late:.0f} s", worker_ended=True)
            return Outage(error, heals=False)
        heard = max(self._lane.answered, self._asked)
        if (
            self._lane.idle
            and monotonic() - heard > settings.probe_seconds
            and (reason := await self._probe())
        ):
            return Outage(BackendUnavailable(reason), heals=False)
        return None

    async def _probe(self) -> str:
        """Why an idle model does not answer, or nothing."""
        card = self.card
        self._asked = monotonic()
        try:
            async with asyncio.timeout(self._settings.probe_timeout_seconds):
                response = await call_worker(self._backend.call, golden_request(card))
            assert isinstance(response, ScoreResponse)
            check_answer(card, response)
        except (ProbeError, StatusError, RuntimeError) as error:
            return str(error)
        except TimeoutError:
            return f"no answer to a question within {self._settings.probe_timeout_seconds:g} s"
        return ""


def _delay(failures: int) -> float:
    """Seconds before the next cure: 0, 1, 2, 4, ..."""
    return 0.0 if failures < 1 else min(MAX_DELAY_SECONDS, 2.0 ** (failures - 1))
