"""Calls that nobody waits for, on models in this process; test_overload.py does it on TorchServe."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from queues import scheduler
from rdserve.models import cancellation
from rdserve.models.card import Card
from rdserve.models.networks.pixelcnn_incremental import IncrementalSampler
from rdserve.server.backends.in_process import InProcessBackend
from rdserve.server.batching.revocation import Revocations
from rdserve.server.repository.archive import open_archive
from rdserve.server.settings import Settings
from rdserve.v1.vae_pb2 import NoiseKeys, SampleRequest, ScoreRequest, ScoreResponse
from rdserve.wire import tensors


class Held:
    """Rows of pixels, as they are begun; the third one waits until nobody waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        real = IncrementalSampler.begin_row

        def begin_row(sampler: IncrementalSampler, row: int) -> None:
            self.rows.append(row)
            if row == 2:
                self._hold()
            real(sampler, row)

        monkeypatch.setattr(IncrementalSampler, "begin_row", begin_row)

    def _hold(self) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        while True:
            try:
                cancellation.check()
            except cancellation.Abandoned:
                return
            time.sleep(0.005)


def score(card: Card) -> ScoreRequest:
    images = tensors.to_message(np.zeros((1, *card.input.shape), bool))
    return ScoreRequest(model=card.name, images=images, noise=NoiseKeys(seed=1))


async def test_a_worker_is_free_after_the_row_it_was_in(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(models=store, backend="in-process")
    backend, archive = InProcessBackend(settings), open_archive(store / "tiny-mpv.mar")
    await backend.start()
    await backend.load(archive)
    batcher = scheduler(backend.call, settings, tmp_path)
    batcher.queue(archive.card.name).open()
    held = Held(monkeypatch)
    request = SampleRequest(model=archive.card.name, n_latents=100, noise=NoiseKeys(seed=0))
    call = asyncio.create_task(batcher.run(request, archive.card))
    await held.reached.wait()
    call.cancel()
    response = await batcher.run(score(archive.card), archive.card)
    assert isinstance(response, ScoreResponse)
    assert held.rows == [0, 1, 2]
    await batcher.drain()
    assert not list(tmp_path.iterdir())
    await backend.stop()


def test_a_revocation_that_comes_late_leaves_nothing_behind(tmp_path: Path) -> None:
    with Revocations(tmp_path).of_call() as revocation:
        assert revocation.name.startswith(str(tmp_path))
    revocation.revoke()
    assert not list(tmp_path.iterdir())
