"""What becomes of a model that does not load, falls, hangs, or heals: all waiting by a clock that jumps."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]
from jumping import run
from queues import scheduler
from rdserve.models.card import Card
from rdserve.server.backends.base import Backend, LoadError, OnDown
from rdserve.server.clock import now
from rdserve.server.errors import BackendUnavailable, FailedModel, WorkerCrashed
from rdserve.server.lifecycle.supervisor import ModelSupervisor
from rdserve.server.registry import ModelRegistry
from rdserve.server.repository.archive import Archive
from rdserve.server.repository.scan import RepositoryModel
from rdserve.server.repository.selftest import SelfTest
from rdserve.server.settings import Settings
from rdserve.server.worker_protocol import OnLoss
from rdserve.v1.vae_pb2 import ScoreRequest, ScoreResponse
from rdserve.v1.worker_pb2 import WorkReply, WorkRequest
from rdserve.wire import tensors
from rdserve.wire.batches import n_rows

RATE, DISTORTION = 1.0, 2.0
CALLER = 77  # the noise seed of what callers ask


class Scripted(Backend):
    """Loads, heals and answers as it is told to."""

    def __init__(self) -> None:
        self.loads: list[float] = []  # times of loads
        self.heals: list[float] = []
        self.load_faults: list[str] = []
        self.heal_faults: list[str] = []
        self.call_faults: list[Exception] = []  # of callers' calls
        self.calls = 0  # of callers
        self.silent = False  # until it is loaded again
        self.silences = 0  # callers' calls that silence it
        self.rate = RATE

    def subscribe(self, on_down: OnDown, on_loss: OnLoss) -> None:
        self.down, self.loss = on_down, on_loss

    async def load(self, archive: Archive) -> None:
        self.loads.append(now())
        if self.load_faults:
            raise LoadError(self.load_faults.pop(0))
        self.silent = False

    async def healed(self, model: str) -> None:
        self.heals.append(now())
        if self.heal_faults:
            raise LoadError(self.heal_faults.pop(0))

    async def call(self, model: str, work: bytes) -> bytes:
        request = WorkRequest.FromString(work).score
        if request.noise.seed == CALLER:
            self.calls += 1
            if self.call_faults:
                raise self.call_faults.pop(0)
            if self.silences:
                self.silences, self.silent = self.silences - 1, True
        if self.silent:
            await asyncio.Event().wait()
        n = n_rows(request)
        score = ScoreResponse(rate_nats=[self.rate] * n, distortion_nats=[DISTORTION] * n)
        return WorkReply(score=score).SerializeToString()


class Service:
    """One model on a scripted backend. told: when what was announced of it."""

    def __init__(self, card: Card, given: dict[str, Any]) -> None:
        self.settings = Settings(models=Path(), **given)
        self.card = card
        self.backend = Scripted()
        self.scheduler = scheduler(self.backend.call, self.settings)
        self.registry = ModelRegistry()
        self.told: list[tuple[float, str]] = []
        self._news = asyncio.Event()
        self._supervisor = ModelSupervisor(
            self.backend,
            self.scheduler,
            self.registry,
            health_aio.HealthServicer(),
            self.settings,
            self._announce,
        )

    def _announce(self, line: str) -> None:
        self.told.append((now(), line))
        self._news.set()

    async def start(self, *, archive: bool = True) -> int:
        """How many models serve, once it has settled."""
        hexes = [row.tobytes().hex() for row in np.eye(4, 8, dtype=np.uint8)]
        selftest = SelfTest(
            seed=0,
            n_samples=1,
            rows=hexes,
            example_ids=list(range(4)),
            rate_nats=[RATE] * 4,
            distortion_nats=[DISTORTION] * 4,
        )
        path = Path("m.mar") if archive else None
        found = Archive(Path("m.mar"), self.card, selftest) if archive else None
        return await self._supervisor.start([RepositoryModel(self.card.name, found, "its card is bad", path)])

    async def stop(self) -> None:
        await self._supervisor.stop()

    async def until(self, words: str, times: int = 1) -> float:
        """When a line that ends so was announced for the so-manieth time."""
        while len(found := [at for at, line in self.told if line.endswith(words)]) < times:
            self._news.clear()
            await self._news.wait()
        return found[times - 1]

    async def score(self) -> ScoreResponse:
        images = tensors.to_message(np.zeros((2, *self.card.input.shape), bool))
        request = ScoreRequest(model=self.card.name, images=images)
        request.noise.seed = CALLER
        response = await self.scheduler.run(request, self.card)
        assert isinstance(response, ScoreResponse)
        return response

    def lose_worker(self) -> None:
        self.backend.loss(self.card.name, BackendUnavailable("its worker ended", worker_ended=True))


Story = Callable[[Service], Awaitable[None]]


@pytest.fixture
def told(card: Card) -> Callable[..., None]:
    """told(story, **settings): run it, by the jumping clock."""

    async def whole(story: Story, given: dict[str, Any]) -> None:
        service = Service(card, given)
        try:
            await story(service)
        finally:
            await service.stop()

    return lambda story, **given: run(whole(story, given))


def test_a_model_that_does_not_load_is_tried_less_and_less(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        service.backend.load_faults = ["no memory"] * 8
        assert await service.start() == 0
        assert service.told == [(0, "[1/1] tiny FAILED: no memory")]
        await service.until("tiny is serving")
        assert service.backend.loads == pytest.approx([0, 1, 3, 7, 15, 31, 63, 123, 183])
        assert (await service.score()).rate_nats == [RATE] * 2

    told(story)


def test_what_no_file_can_mend_is_tried_once(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        assert await service.start(archive=False) == 0
        await asyncio.sleep(1000)
        assert [line for _, line in service.told] == ["[1/1] tiny FAILED: its card is bad"]
        assert service.backend.loads == []

    told(story)


def test_a_model_that_comes_back_with_other_scores_fails(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        assert await service.start() == 1
        service.backend.rate = 9.0
        service.backend.down("all is lost")
        await service.until("gives image 0 rate_nats 9, and gave 1 when it was packaged")

    told(story)


def test_who_falls_again_and_again_comes_back_later_until_it_was_steady(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        await service.start()
        for times in range(1, 5):
            service.backend.down("all is lost")
            await service.until("tiny ready", times + 1)
        loads = [round(at) for at in service.backend.loads]
        assert loads == [0, 0, 1, 3, 7]
        await asyncio.sleep(service.settings.steady_seconds + 1)
        begun = now()
        service.backend.down("all is lost")
        assert await service.until("tiny ready", 6) == pytest.approx(begun, abs=0.1)

    told(story)


def test_callers_wait_for_a_worker_that_ended_once_and_are_refused_if_it_ends_again(
    told: Callable[..., None],
) -> None:
    async def story(service: Service) -> None:
        await service.start()
        waits = []
        for times in (1, 2):
            service.lose_worker()
            await service.until("tiny is loading: its worker ended", times)
            waits.append(service.registry.find("tiny").callers_wait)
            assert (await service.score()).distortion_nats == [DISTORTION] * 2
        assert waits == [True, False]
        assert len(service.backend.heals) == 2
        assert len(service.backend.loads) == 1  # what heals is not loaded

    told(story)


def test_what_does_not_heal_is_loaded_and_what_does_not_load_refuses_who_waits(
    told: Callable[..., None],
) -> None:
    async def story(service: Service) -> None:
        await service.start()
        service.backend.heal_faults = ["no new worker"]
        service.backend.load_faults = ["no memory"]
        service.backend.silent = True
        asked = asyncio.create_task(service.score())
        await asyncio.sleep(1)
        service.lose_worker()
        with pytest.raises(FailedModel, match="model 'tiny' has failed: no memory"):
            await asked
        await service.until("tiny is serving")
        assert len(service.backend.loads) == 3

    told(story)


def test_one_of_two_workers_may_end_while_the_model_serves(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        await service.start()
        service.lose_worker()
        await asyncio.sleep(100)
        assert len(service.told) == 1
        service.backend.silent = True
        service.lose_worker()
        await service.until("tiny is loading: its worker ended")
        await service.until("tiny is serving")
        assert len(service.backend.loads) == 2

    told(story, workers=2)


def test_an_idle_model_is_asked_and_loaded_again_where_it_says_nothing(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        await service.start()
        await asyncio.sleep(1000)
        assert len(service.told) == 1
        service.backend.silent, begun, settings = True, now(), service.settings
        missed = await service.until("no answer to a question within 10 s") - begun
        most = settings.probe_seconds + settings.probe_timeout_seconds
        assert settings.probe_timeout_seconds < missed < most + settings.probe_seconds / 4 + 0.1
        await service.until("tiny is serving")
        assert len(service.backend.loads) == 2

    told(story)


def test_a_call_that_hangs_is_sent_once_more(told: Callable[..., None]) -> None:
    async def story(service: Service) -> None:
        await service.start()
        await service.score()  # what such a call takes is known
        service.backend.silences, begun = 1, now()
        assert (await service.score()).rate_nats == [RATE] * 2
        floor = service.settings.hang_seconds
        assert floor < now() - begun < 1.5 * floor
        assert service.backend.calls == 3

    told(story)


@pytest.mark.parametrize(
    ("error", "told_to_caller"),
    [
        (BackendUnavailable("its worker died", worker_ended=True), WorkerCrashed),
        (BackendUnavailable("no answer from TorchServe"), BackendUnavailable),
    ],
    ids=["by its own doing", "by another's"],
)
def test_a_call_lost_twice_is_told(
    told: Callable[..., None], error: BackendUnavailable, told_to_caller: type[Exception]
) -> None:
    async def story(service: Service) -> None:
        await service.start()
        service.backend.call_faults = [error] * 3
        with pytest.raises(told_to_caller):
            await service.score()
        assert service.backend.calls == 2
        service.backend.call_faults = []
        assert (await service.score()).rate_nats == [RATE] * 2

    told(story)
