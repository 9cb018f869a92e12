"""One contract, two backends."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from rdserve.server.app import make_backend
from rdserve.server.backends.base import Backend, LoadError
from rdserve.server.errors import InvalidRequest
from rdserve.server.repository.archive import Archive, open_archive
from rdserve.server.settings import BackendName, Settings
from rdserve.server.worker_protocol import call_worker
from rdserve.v1.vae_pb2 import ScoreRequest, ScoreResponse
from rdserve.v1.worker_pb2 import WORK_ERROR_REASON_INVALID_ARGUMENT, WorkReply
from rdserve.wire.batches import merge

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.torchserve]


@pytest.fixture(scope="module")
def archive(store: Path) -> Archive:
    return open_archive(store / "tiny-mmm.mar")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["torchserve", "in-process"])
async def backend(request: pytest.FixtureRequest, store: Path, archive: Archive) -> AsyncIterator[Backend]:
    name: BackendName = request.param
    backend = make_backend(Settings(models=store, backend=name))
    await backend.start()
    await backend.load(archive)
    yield backend
    await backend.stop()


def probe(archive: Archive) -> ScoreRequest:
    """Four images to score."""
    return archive.selftest.probe.request(archive.card)


async def test_a_loaded_model_answers_its_probe(backend: Backend, archive: Archive) -> None:
    response = (await call_worker(backend.call, probe(archive))).response
    assert isinstance(response, ScoreResponse)
    archive.selftest.probe.answered(archive.card, response)


async def test_the_same_call_gives_the_same_bytes(backend: Backend, archive: Archive) -> None:
    request = probe(archive)
    first, second = [await call_worker(backend.call, request) for _ in range(2)]
    assert first.response == second.response


async def test_a_large_call_passes(backend: Backend, archive: Archive) -> None:
    request = merge([probe(archive)] * 500)
    response = (await call_worker(backend.call, request)).response
    assert isinstance(response, ScoreResponse)
    assert len(response.rate_nats) == 2000


@pytest.mark.parametrize("work", [b"", b"\xff" * 100, b"\x0a\x03abc"])
async def test_random_bytes_get_an_error_in_the_reply(backend: Backend, work: bytes) -> None:
    reply = WorkReply.FromString(await backend.call("tiny-mmm", work))
    assert reply.error.reason == WORK_ERROR_REASON_INVALID_ARGUMENT


async def test_what_the_worker_refuses_arrives_as_such(backend: Backend) -> None:
    with pytest.raises(InvalidRequest):
        await call_worker(backend.call, ScoreRequest(model="tiny-mmm"))


async def test_an_archive_that_does_not_load_says_so(
    backend: Backend, archive: Archive, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mar"
    broken.write_bytes(b"no archive")
    card = archive.card.model_copy(update={"name": "broken"})
    with pytest.raises(LoadError):
        await backend.load(replace(archive, path=broken, card=card))
    assert await call_worker(backend.call, probe(archive))
